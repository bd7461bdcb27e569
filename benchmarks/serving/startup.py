"""From `./run serve` to ready, and the memory of the resident server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ..load_process import Phase, check_answers, run_phases
from ..processes import Server, free_port, resident_bytes, serving
from ..results import Result, Target
from . import servers
from .work import mixed_work

ABOUT = (
    "Seconds from starting `./run serve` (everything installed, files in the page cache) to "
    "200 from /readyz, with an empty data folder (tables are imported) and with one that was used "
    "before; resident memory of the server process when ready and after a load of mixed requests."
)
TARGETS = (Target("start_s", "<=", 10.0), Target("restart_s", "<=", 10.0))
INSTALL_TIMEOUT_S = 900.0
LOAD_SEED = 2


@dataclass(frozen=True)
class Plan:
    starts: int
    load_images_per_kind: int
    load_concurrency: int


FULL = Plan(starts=5, load_images_per_kind=2, load_concurrency=64)
QUICK = Plan(starts=1, load_images_per_kind=1, load_concurrency=64)


def measure(quick: bool) -> Result:
    plan = QUICK if quick else FULL
    _warm_up()
    start_s, restart_s, ready_mib = [], [], []
    loaded_mib: list[float] = []
    for _ in range(plan.starts):
        with TemporaryDirectory() as home:
            with _run_serve(home) as server:
                start_s.append(server.start_s)
                ready_mib.append(_mib(server))
            with _run_serve(home) as server:
                restart_s.append(server.start_s)
                if not loaded_mib:
                    _load(server.port, plan)
                    loaded_mib.append(_mib(server))
    return Result(
        name="serving-startup",
        about=ABOUT,
        parameters={**vars(plan), "models": "all that ship"},
        figures={
            "start_s": median(start_s),
            "restart_s": median(restart_s),
            "resident_mib_when_ready": median(ready_mib),
            "resident_mib_after_load": median(loaded_mib),
        },
        samples={"start_s": start_s, "restart_s": restart_s, "resident_mib_when_ready": ready_mib},
        targets=TARGETS,
    )


def _warm_up() -> None:
    """The first start may install, and reads every file from the disk."""
    with TemporaryDirectory() as home, _run_serve(home):
        pass


@contextmanager
def _run_serve(home: str) -> Iterator[Server]:
    port = free_port()
    variables = servers.settings_variables(Path(home))
    del variables["FEWSTEP_MODELS"]  # all that ship
    command = ("./run", "serve", "--port", str(port))  # becomes the server: the process id stays
    with serving(command, port, "/readyz", variables, INSTALL_TIMEOUT_S) as server:
        yield server


def _load(port: int, plan: Plan) -> None:
    work = mixed_work(len(servers.bundled_card().classes), plan.load_images_per_kind, LOAD_SEED)
    bodies = [item.body() for item in work]
    [samples] = run_phases([Phase(port, servers.GENERATE, bodies, plan.load_concurrency)])
    check_answers(samples)


def _mib(server: Server) -> float:
    return resident_bytes(server.child.pid) / 2**20
