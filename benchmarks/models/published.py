"""Published checkpoints of full size, as who downloads one meets them: added, served, searched on.

The numbers in them are random: time and memory do not need trained ones. All else is what it would
be: the files' layouts and sizes, the commands, the server with its worker, the requests.
"""

import hashlib
import io
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image

from diffusion_core.conversion.adding import WEIGHTS_FILE
from diffusion_core.families import Family
from diffusion_core.host import give_back_freed_memory
from diffusion_core.memory import in_words
from diffusion_core.registry import MODELS
from service.answers import GenerateAnswer, ModelAnswer
from service.client import Client, ClientError, Order, Search
from service.png import read_provenance

from ..processes import (
    BenchmarkError,
    Server,
    free_port,
    peak_bytes,
    pids_of,
    resident_bytes,
    run_to_end,
    serving,
)
from ..results import Result, Target
from .checkpoints import num_bytes, write_checkpoint
from .random_weights import SD_CHANNELS, random_autoencoder

NAME = "models-published-xl"
ABOUT = (
    "Checkpoints of random numbers in the layouts and sizes of the published ones, each by the "
    "commands of a new user in an empty data folder: `models add` with an autoencoder, a server on "
    "the CPU in bfloat16 with one worker and a bundled model, PUT residency, guided images one "
    "after the other, a search that is cancelled once it tells of an evaluation, DELETE residency, "
    "`models remove`. Files were written just before and are in the page cache. Peaks are physical "
    "memory, mapped files included; that of the search's process is until the search was cancelled."
)
FAMILIES = ("dit-xl-2-256", "sit-xl-2-256", "flowdcn-xl-2-256")
FEWSTEP = (str(Path(sys.executable).with_name("fewstep")),)
DTYPE = "bfloat16"
RESIDENT = "glyphs"  # what the server starts with
LOOK_S = 0.2
PATIENCE_S = 3600.0  # for any one of the steps
DIGEST = re.compile(r"sha256 ([0-9a-f]{64})")


@dataclass(frozen=True)
class Plan:
    steps: int = 4  # of the image
    class_id: int = 207
    search_steps: int = 4
    budget: int = 6000  # of the search, in network evaluations
    vae_channels: Sequence[int] = SD_CHANNELS


@dataclass(frozen=True)
class Seen:
    """What one family took."""

    figures: dict[str, float]
    facts: dict[str, Any]


def published(
    families: Sequence[Family],
    work: Path | None = None,
    plan: Plan | None = None,
    fewstep: Sequence[str] = FEWSTEP,
) -> Iterator[Result]:
    """One family after the other; all that is known after each.

    work     where the temporary folder is made; it takes three times a checkpoint
    fewstep  the command

    Raises BenchmarkError, OSError.
    """
    plan = plan or Plan()
    seen: dict[str, Seen] = {}
    for family in families:
        with TemporaryDirectory(prefix="fewstep-", dir=work) as place:
            seen[family.name] = _Visit(family, Path(place), plan, fewstep).all_of_it()
        yield _result(seen, plan)


class _Visit:
    """A user with one checkpoint, and an empty data folder."""

    def __init__(self, family: Family, place: Path, plan: Plan, fewstep: Sequence[str]):
        self._family = family
        self._name = family.name
        self._plan = plan
        self._fewstep = fewstep
        self._checkpoint, self._vae = place / "checkpoint.pt", place / "vae"
        self._home = place / "home"
        self._figures: dict[str, float] = {}
        self._facts: dict[str, Any] = {}

    def all_of_it(self) -> Seen:
        """Raises BenchmarkError, OSError."""
        self._download()
        digest = self._add()
        with self._server() as server, _client(server) as client:
            self._load(client, digest)
            self._draw(client, digest)
            self._figures["server_resident_gb"] = resident_bytes(server.child.pid) / 1e9
            self._search(client)
            self._unload(client, server)
        run_to_end([*self._fewstep, "models", "remove", self._name], self._variables)
        if (self._home / MODELS / self._name).exists():
            raise BenchmarkError(f"{self._name} was removed and is still there")
        return Seen(self._figures, self._facts)

    @property
    def _variables(self) -> dict[str, str]:
        return {"FEWSTEP_HOME": str(self._home)}

    def _download(self) -> None:
        """Files of this size and kind, from nowhere."""
        needed = 3 * num_bytes(self._family)
        free = shutil.disk_usage(self._checkpoint.parent).free
        if free < needed:
            raise BenchmarkError(
                f"{self._checkpoint.parent} has {in_words(free)} free, {in_words(needed)} are "
                "needed; --work names another folder"
            )
        self._figures["checkpoint_gb"] = write_checkpoint(self._family, self._checkpoint) / 1e9
        vae = random_autoencoder(self._plan.vae_channels, torch.device("cpu"), torch.float32)
        vae.save_pretrained(self._vae)
        del vae
        give_back_freed_memory()  # or it would be missing where it is measured

    def _add(self) -> str:
        """The digest that the command tells."""
        files = ["--checkpoint", str(self._checkpoint), "--vae", str(self._vae)]
        command = [*self._fewstep, "models", "add", "--family", self._name, *files]
        added = run_to_end(command, self._variables, PATIENCE_S)
        self._figures |= {"add_s": added.seconds, "add_peak_gb": added.peak_bytes / 1e9}
        told = DIGEST.search(added.output)
        if told is None:
            raise BenchmarkError(f"`models add` told no digest:\n{added.output}")
        return told[1]

    @contextmanager
    def _server(self) -> Iterator[Server]:
        port = free_port()
        variables = self._variables | {
            "FEWSTEP_DEVICE": "cpu",
            "FEWSTEP_DTYPE": DTYPE,
            "FEWSTEP_MODELS": RESIDENT,
            "FEWSTEP_WORKERS": "1",
        }
        command = [*self._fewstep, "serve", "--port", str(port)]
        with serving(command, port, "/readyz", variables, PATIENCE_S) as server:
            yield server
            self._figures["server_peak_gb"] = peak_bytes(server.child.pid) / 1e9

    def _load(self, client: Client, digest: str) -> None:
        before = _among(client.models(), self._name)
        if before.resident:
            raise BenchmarkError(f"{self._name} is loaded already")
        started = time.perf_counter()
        loaded = client.load_model(self._name)
        self._figures["load_s"] = time.perf_counter() - started
        with (self._home / MODELS / self._name / WEIGHTS_FILE).open("rb") as file:
            of_file = hashlib.file_digest(file, "sha256").hexdigest()
        equal = {digest, of_file, before.digest, loaded.digest} == {digest}
        self._figures["digests_equal"] = float(equal)
        self._facts |= {"digest": digest, "loaded_bytes": loaded.size_bytes}

    def _draw(self, client: Client, digest: str) -> None:
        """Two images: the first one may wait for the server to find its best row count."""
        for figure in ("first_image_s", "image_s"):
            plan = self._plan
            started = time.perf_counter()
            drawn = client.generate(Order(plan.class_id, plan.steps, self._name))
            self._figures[figure] = time.perf_counter() - started
        if drawn.guidance_scale == 1:
            raise BenchmarkError(f"{self._name} was not guided")
        scale = 2 ** (len(self._plan.vae_channels) - 1)
        self._facts["image"] = _picture(drawn, scale * self._family.architecture.input_size, digest)

    def _search(self, client: Client) -> None:
        """Until it moves; its process is then to be gone soon."""
        plan = self._plan
        wanted = Search(plan.search_steps, self._name, budget=plan.budget, promote="never")
        started = time.perf_counter()
        job_id = client.search(wanted).id
        peak = 0
        while True:
            job = client.search_job(job_id)
            peak = max([peak, *map(peak_bytes, pids_of(job_id))])
            if job.progress.evaluations:
                break
            self._check_time(started, f"search {job_id} has not moved")
            if job.is_finished:
                raise BenchmarkError(f"search {job_id} {job.state.value}: {job.error}")
            time.sleep(LOOK_S)
        self._figures["search_moves_s"] = time.perf_counter() - started
        self._figures["search_peak_gb"] = peak / 1e9
        self._facts["search_stage"] = job.progress.stage
        started = time.perf_counter()
        client.cancel(job_id)
        while pids_of(job_id):
            self._check_time(started, f"search {job_id} was cancelled and works on")
            time.sleep(LOOK_S / 10)
        self._figures["cancel_s"] = time.perf_counter() - started
        self._facts["search_state"] = client.search_job(job_id).state.value

    def _unload(self, client: Client, server: Server) -> None:
        client.unload_model(self._name)
        if _among(client.models(), self._name).resident:
            raise BenchmarkError(f"{self._name} was unloaded and is still loaded")
        self._figures["server_resident_gb_when_unloaded"] = resident_bytes(server.child.pid) / 1e9

    @staticmethod
    def _check_time(started: float, what: str) -> None:
        if time.perf_counter() - started > PATIENCE_S:
            raise BenchmarkError(f"{what} for {PATIENCE_S:g} s")


@contextmanager
def _client(server: Server) -> Iterator[Client]:
    """Raises BenchmarkError, with the server's last words, for whatever it refuses."""
    try:
        with Client(server.url, timeout_s=PATIENCE_S) as client:
            yield client
    except ClientError as error:
        raise BenchmarkError(f"{error}\n{server.child.log_tail()}") from error


def _among(models: Sequence[ModelAnswer], name: str) -> ModelAnswer:
    for model in models:
        if model.name == name:
            return model
    raise BenchmarkError(f"GET /models does not show {name}")


def _picture(drawn: GenerateAnswer, size: int, digest: str) -> dict[str, Any]:
    """Of the PNG file. Raises BenchmarkError where it is of another size or model."""
    png = drawn.images[0].png
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
    if (width, height) != (size, size):
        raise BenchmarkError(f"the picture has {width} x {height} pixels, not {size} x {size}")
    if read_provenance(png).model_digest != digest:
        raise BenchmarkError("the picture names another model")
    return {"pixels": size, "bytes": len(png), "solver": drawn.solver.name}


def _result(seen: Mapping[str, Seen], plan: Plan) -> Result:
    figures = {
        f"{name}: {figure}": value
        for name, family in seen.items()
        for figure, value in family.figures.items()
    }
    return Result(
        name=NAME,
        about=ABOUT,
        parameters={"dtype": DTYPE, "resident_before": RESIDENT, **asdict(plan)},
        figures=figures,
        samples={name: family.facts for name, family in seen.items()},
        targets=[Target(name, ">=", 1) for name in figures if name.endswith("digests_equal")],
    )
