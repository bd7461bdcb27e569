"""Whether the proxy ranks solvers of the same NFE as the offline distance does.

Offline: `search_jobs.evaluate`, the same noises for all. Proxy: pictures of other seeds, classes at
random, through an engine and the proxy of a server. What was measured is kept in the work folder.
"""

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import correlation
from threading import Semaphore

from diffusion_core.folders import BUNDLED_MODELS, DEFAULT_HOME
from diffusion_core.model import LoadedModel, ModelFolder, find_models
from diffusion_core.program import compile_program
from diffusion_core.quality import load_judge
from search_jobs.evaluate import (
    Contender,
    EvaluationPlan,
    Metric,
    Subject,
    classical_contenders,
    evaluate,
    published_contenders,
)
from search_jobs.kept import read_json, write_json
from service.engine.engine import Engine
from service.engine.requests import EngineEvent, ImageDone, ImageLost, ImageRequest, Watched
from service.fid_proxy.proxy import FidProxy
from service.fid_proxy.samples import Reading, Series, Source
from solver_store.shipped import SHIPPED_SOLVERS, ShippedSolver

from ..processes import BenchmarkError
from ..results import Result, Target
from ..serving.servers import MODEL, bundled_model

ABOUT = (
    "Spearman's rank correlation of the FID proxy (full window, bias corrected) with the offline "
    "Fréchet distance, over all solvers of one NFE at the default guidance; the lowest of the "
    "step counts."
)
TARGETS = (Target("lowest_rank_correlation", ">=", 0.9),)
IN_FLIGHT = 16


@dataclass(frozen=True)
class Plan:
    steps: tuple[int, ...]
    offline_samples: int
    proxy_images: int  # a full window of the bundled model's judge is 1024
    max_solvers: int | None = None  # of each step count


# Some three quarters of an hour on two cores, and what was measured is kept. Solvers of four steps
# differ by tens; from 6 steps on by less than what a window of the proxy can tell.
FULL = Plan(steps=(4,), offline_samples=10_000, proxy_images=1024, max_solvers=10)
QUICK = Plan(steps=(4,), offline_samples=72, proxy_images=320, max_solvers=3)


def measure(quick: bool) -> Result:
    plan = QUICK if quick else FULL
    folder, model = find_models(BUNDLED_MODELS)[MODEL], bundled_model()
    pairs = {str(steps): _pairs(folder, model, steps, plan) for steps in plan.steps}
    correlations = {
        steps: rank_correlation(
            [pair["offline"] for pair in each.values()], [pair["proxy"] for pair in each.values()]
        )
        for steps, each in pairs.items()
    }
    return Result(
        name="proxy-ranks",
        about=ABOUT,
        parameters={**asdict(plan), "model": MODEL},
        figures={
            "lowest_rank_correlation": min(correlations.values()),
            **{f"rank_correlation_{steps}_steps": r for steps, r in correlations.items()},
        },
        samples=pairs,
        targets=TARGETS,
    )


def rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's; figures measured to many digits do not tie."""
    return correlation(_ranks(first), _ranks(second))


def _ranks(values: list[float]) -> list[float]:
    order = sorted(values)
    return [float(order.index(value)) for value in values]


def _pairs(
    folder: ModelFolder, model: LoadedModel, steps: int, plan: Plan
) -> dict[str, dict[str, float]]:
    """By solver: both figures with their margins."""
    work = DEFAULT_HOME / "bench-proxy"
    contenders = _contenders(folder, model, steps)[: plan.max_solvers]
    subject = Subject.of_model(model, folder, model.card.default_guidance_scale)
    samples = EvaluationPlan(plan.offline_samples, num_endpoints=40)
    offline = evaluate(subject, contenders, samples, work).measurements
    pairs = {}
    for contender, measurement in zip(contenders, offline, strict=True):
        estimate = measurement.get(Metric.FRECHET_DISTANCE)
        if estimate is not None:  # none where the sampling diverges
            reading = _kept_reading(folder, model, contender, plan.proxy_images, work)
            pairs[contender.name] = {
                "offline": estimate.value,
                "offline_margin": estimate.margin,
                "proxy": reading.distance,
                "proxy_margin": reading.margin,
            }
    return pairs


def _contenders(folder: ModelFolder, model: LoadedModel, steps: int) -> list[Contender]:
    """The shipped one first; every table once."""
    shipped = [
        ShippedSolver.read(file) for file in sorted((folder.path / SHIPPED_SOLVERS).glob("*.json"))
    ]
    found = [Contender(s.name, s.table) for s in shipped if s.table.nfe == steps]
    kind = model.card.kind
    found += published_contenders(kind, steps) + classical_contenders(kind, steps, True)
    by_digest: dict[str, Contender] = {}
    for contender in found:
        by_digest.setdefault(contender.table.digest, contender)
    return list(by_digest.values())


def _kept_reading(
    folder: ModelFolder, model: LoadedModel, contender: Contender, count: int, work: Path
) -> Reading:
    path = work / f"proxy-{model.digest[:12]}-{contender.table.digest[:12]}-{count}.json"
    known = read_json(path)
    if known is None:
        reading = _reading(folder, model, contender, count)
        write_json(asdict(reading), path)
        return reading
    return Reading(**known)


def _reading(folder: ModelFolder, model: LoadedModel, contender: Contender, count: int) -> Reading:
    """What the proxy tells after so many pictures. Raises BenchmarkError where it tells nothing."""
    proxy = FidProxy(share=1.0)  # here all pictures are judged
    proxy.watch(model, load_judge(folder, model.device))
    engine = Engine(queue_rows=10_000, max_rows=IN_FLIGHT, spare_time=proxy)
    engine.start()
    try:
        engine.load(model)
        _draw(engine, model, contender, count)
        engine.probe(timeout_s=60)  # the last of them are judged before this comes through
    finally:
        engine.stop()
    steps = contender.table.nfe
    standing = proxy.standings.get(Series(MODEL, contender.name, steps, Source.LIVE))
    if standing is None or standing.reading is None:
        raise BenchmarkError(f"{contender.name}: {count} pictures give no reading")
    return standing.reading


def _draw(engine: Engine, model: LoadedModel, contender: Contender, count: int) -> None:
    """Images of random classes, a few in flight."""
    program = compile_program(contender.table, model.card.kind)
    watched = Watched(contender.name, contender.table.digest)
    chance, room = random.Random(0), Semaphore(IN_FLIGHT)

    def notify(event: EngineEvent) -> None:
        if isinstance(event, ImageDone | ImageLost):
            room.release()

    for seed in range(count):
        room.acquire()
        request = ImageRequest(
            model=MODEL,
            program=program,
            class_label=chance.randrange(len(model.card.classes)),
            guidance_scale=model.card.default_guidance_scale,
            seed=seed,
            watched=watched,
        )
        engine.submit([request], notify)
    for _ in range(IN_FLIGHT):
        room.acquire()
