"""The parts of a running server, put together from its settings and taken apart again."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from diffusion_core import registry
from diffusion_core.errors import ModelNotFound
from diffusion_core.host import keep_freed_memory, threads_left_to_another
from diffusion_core.model import LoadedModel, ModelFolder
from diffusion_core.select import SolverSelector
from diffusion_core.settings import PREFIX
from search_jobs.queue import SearchQueue
from solver_store.importing import import_published
from solver_store.store import SolverStore

from .champion_gauges import ChampionGauges
from .engine.engine import Engine
from .errors import SettingInvalid
from .fid_proxy.canaries import Canaries
from .fid_proxy.gauges import FidGauges
from .fid_proxy.proxy import FidProxy
from .metrics import Metrics
from .reload import StoreFollower
from .residency import Residency
from .searching.gauges import SearchGauges
from .settings import Settings
from .supervisor import Supervisor


@dataclass(frozen=True)
class Services:
    """What the routes work with."""

    settings: Settings
    residency: Residency
    default_model: str
    engine: Engine
    store: SolverStore
    selector: SolverSelector
    metrics: Metrics
    fid_proxy: FidProxy
    queue: SearchQueue
    job_followers: ThreadPoolExecutor  # that ask the database for news of searches
    mover: ThreadPoolExecutor  # in which whoever loads or unloads a model waits for it
    supervisor: Supervisor

    @property
    def models(self) -> Mapping[str, LoadedModel]:
        """Those that are resident."""
        return self.residency.resident


NUM_JOB_FOLLOWERS = 2  # threads: a question takes a millisecond, and everyone asks twice a second


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Open the store, load the models, start the engine; stop and close them at the end.

    The supervisor is left for whoever serves to start: once the server is ready.

    Raises SettingInvalid, ModelInvalid or StoreUnavailable where that is not possible.
    """
    with ExitStack() as closing:
        make_home(settings.home)
        keep_freed_memory()
        store = _open_store(settings, closing)
        fid_proxy = FidProxy()
        metrics = Metrics()
        engine = _start_engine(settings, metrics, fid_proxy, closing)
        device = registry.find_device(settings.device, SettingInvalid)
        residency = Residency(settings, device, store, engine, metrics, fid_proxy)
        residency.begin(choose_models(settings))
        selector = _follow_store(store, closing)
        canaries = Canaries(
            engine, fid_proxy, selector, store, lambda: residency.resident, settings.canary
        )
        canaries.start()
        closing.callback(canaries.stop)
        # Without a broker: jobs are only written down here, and the supervisor's part is the rest.
        queue = SearchQueue.open(store.database, None)
        # Threads of their own: those that everything else shares must not all wait for a database.
        job_followers = ThreadPoolExecutor(NUM_JOB_FOLLOWERS, "job-followers")
        closing.callback(job_followers.shutdown, wait=False, cancel_futures=True)
        # For the same reason: one model comes or goes at a time, however many are asked for.
        mover = ThreadPoolExecutor(1, "mover")
        closing.callback(mover.shutdown, wait=False, cancel_futures=True)
        metrics.registry.register(FidGauges(fid_proxy, canaries.note_reader))
        metrics.registry.register(SearchGauges(queue, metrics.models))
        metrics.registry.register(ChampionGauges(store, metrics.models))
        supervisor = Supervisor(settings, store.database)
        closing.callback(supervisor.stop)
        yield Services(
            settings=settings,
            residency=residency,
            default_model=default_model(settings, residency.resident),
            engine=engine,
            store=store,
            selector=selector,
            metrics=metrics,
            fid_proxy=fid_proxy,
            queue=queue,
            job_followers=job_followers,
            mover=mover,
            supervisor=supervisor,
        )


def _open_store(settings: Settings, closing: ExitStack) -> SolverStore:
    """With the published tables in it. Raises StoreUnavailable."""
    store = SolverStore.open(settings.database)
    closing.callback(store.close)
    import_published(store)
    return store


def _start_engine(
    settings: Settings, metrics: Metrics, fid_proxy: FidProxy, closing: ExitStack
) -> Engine:
    """Without models; what is computed beside it from now on leaves it the cores."""
    num_threads = closing.enter_context(threads_left_to_another())
    threads = settings.threads or num_threads
    engine = Engine(settings.queue_rows, settings.max_rows, metrics, threads, fid_proxy)
    metrics.watch(engine)
    engine.start()
    closing.callback(engine.stop)
    return engine


def _follow_store(store: SolverStore, closing: ExitStack) -> SolverSelector:
    """A selector that sees what other processes change."""
    selector = SolverSelector(store)
    follower = StoreFollower(selector)
    follower.start()
    closing.callback(follower.stop)
    return selector


def make_home(home: Path) -> None:
    """Raises SettingInvalid where there can be no such folder."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingInvalid(f"{PREFIX}HOME: {home}: {error.strerror}") from None


def choose_models(settings: Settings) -> list[ModelFolder]:
    """The folders to load: those named, or all that are bundled or in the data folder.

    Raises SettingInvalid, ModelInvalid.
    """
    try:
        return registry.choose_models(settings.home, settings.models)
    except ModelNotFound as error:
        raise SettingInvalid(f"{PREFIX}MODELS: {error}") from None


def default_model(settings: Settings, models: Mapping[str, LoadedModel]) -> str:
    """Raises SettingInvalid where the default is not among those loaded."""
    name = settings.default_model or next(iter(models))
    if name not in models:
        raise SettingInvalid(
            f"{PREFIX}DEFAULT_MODEL: {name!r} is not loaded; loaded are {', '.join(models)}"
        )
    return name
