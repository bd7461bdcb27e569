"""Which models are at hand, which of them are resident, and how that changes while serving.

at hand    a folder with a card: bundled, in the data folder, or named by FEWSTEP_MODELS
resident   its weights are on the device and its lanes in the engine
"""

import gc
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for

import torch

from diffusion_core import registry
from diffusion_core.card import ModelCard
from diffusion_core.errors import ModelExists, ModelInvalid, ModelTooLarge
from diffusion_core.host import give_back_freed_memory, threads_left_to_another
from diffusion_core.memory import is_out_of_memory
from diffusion_core.model import (
    LoadedModel,
    ModelFolder,
    check_room,
    get_model,
    load_checked_model,
)
from diffusion_core.quality import Judge, load_judge
from solver_store.errors import NameMismatch, RecordError
from solver_store.shipped import import_shipped
from solver_store.store import SolverStore

from .engine.engine import Engine
from .errors import Draining, NotResident
from .fid_proxy.proxy import FidProxy
from .metrics import Metrics
from .settings import Settings

logger = logging.getLogger(__name__)

STOPPING_CHECK_S = 0.2  # how often whoever waits for a change looks whether the server stops


class Residency:
    """Thread-safe. Readers see a mapping that never changes; a change replaces it."""

    def __init__(
        self,
        settings: Settings,
        device: torch.device,
        store: SolverStore,
        engine: Engine,
        metrics: Metrics,
        fid_proxy: FidProxy,
    ):
        self._settings = settings
        self._device = device
        self.dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
        self._store = store
        self._engine = engine
        self._metrics = metrics
        self._fid_proxy = fid_proxy
        self._changing = threading.Lock()  # one model comes or goes at a time
        self.resident: Mapping[str, LoadedModel] = {}

    def begin(self, folders: Sequence[ModelFolder]) -> None:
        """Load what the server starts with; of models that nobody named, those that can be.

        Raises ModelInvalid or ModelTooLarge where none can, or one that was named.
        """
        refusals: list[ModelInvalid | ModelTooLarge] = []
        for folder in folders:
            try:
                self._bring(folder)
            except (ModelInvalid, ModelTooLarge) as error:
                if self._settings.models:
                    raise
                refusals.append(error)
                logger.warning("not loaded: %s", error)
        if not self.resident and refusals:
            raise type(refusals[0])("; ".join(map(str, refusals)))

    def at_hand(self) -> dict[str, ModelFolder]:
        """All there are now, in alphabetical order."""
        return registry.models_at_hand(self._settings.home, self._settings.models)

    def card(self, name: str) -> ModelCard:
        """Of a model that is at hand, resident or not. Raises ModelNotFound."""
        return self.resident[name].card if name in self.resident else self.folder(name).card

    def get(self, name: str) -> LoadedModel:
        """Raises NotResident for a model that is only at hand, ModelNotFound for any other."""
        model = self.resident.get(name)
        if model is not None:
            return model
        self.folder(name)
        raise NotResident(f"{name} is not loaded: PUT /models/{name}/residency loads it")

    def load(self, name: str) -> None:
        """Make a model resident, unless it is; the others' images go on meanwhile.

        Raises ModelNotFound, ModelInvalid, ModelTooLarge, ModelExists where the folder of this name
        holds another model by now, and Draining where the server stops before it is done.
        """
        self._change(lambda: self._load(name))

    def _load(self, name: str) -> None:
        if name in self.resident:
            folder = self.at_hand().get(name)
            if folder is not None and _is_another(folder, self.resident[name]):
                raise ModelExists(f"a former model {name!r} is still loaded: unload it first")
            return
        folder = self.folder(name)
        give_back_memory()
        with threads_left_to_another():
            self._bring(folder)

    def _bring(self, folder: ModelFolder) -> None:
        """Onto the device, and into the engine; neither resident nor judged where that fails.

        Raises ModelInvalid, ModelTooLarge.
        """
        name = folder.card.name
        # Between two steps: during one, what it takes would count twice.
        self._engine.between_steps(lambda: self._check_room(folder))
        model = load_checked_model(folder, self._device, self.dtype)
        judge = self._judge(folder)
        self._import_solvers(folder, model)
        self._metrics.add_model(name)
        self._engine.load(model)
        # From here on nothing fails.
        if judge is not None:
            self._fid_proxy.watch(model, judge)
        self.resident = {**self.resident, name: model}
        logger.info("loaded %s on %s", name, self._device)

    def _check_room(self, folder: ModelFolder) -> None:
        """Also for what the resident models take while they step. Raises ModelTooLarge."""
        give_back_free_memory()
        check_room(folder, self._device, self.dtype, left_free=self._engine.working_memory)

    def _judge(self, folder: ModelFolder) -> Judge | None:
        """Of its pictures, where one ships with it; serving needs none."""
        if folder.card.judge is None or folder.card.statistics is None:
            return None
        try:
            return load_judge(folder, self._device)
        except Exception as error:  # torch has no one kind for a lack of memory
            if not isinstance(error, ModelInvalid) and not is_out_of_memory(error):
                raise
            logger.warning("the pictures of %s are not judged: %s", folder.card.name, error)
            return None

    def _import_solvers(self, folder: ModelFolder, model: LoadedModel) -> None:
        """Those that ship with it; serving needs none."""
        try:
            import_shipped(self._store, folder.path, model.digest)
        except (RecordError, NameMismatch) as error:
            logger.warning("not all solvers of %s came into the store: %s", model.card.name, error)

    def unload(self, name: str) -> None:
        """Take no more requests for it, finish those under way, and let its memory go.

        Raises ModelNotFound where there is no such model at all, and Draining.
        """
        self._change(lambda: self._unload(name))

    def _unload(self, name: str) -> None:
        if name not in self.resident:
            self.folder(name)
            return
        self.resident = {key: kept for key, kept in self.resident.items() if key != name}
        self._fid_proxy.forget(name)
        self._engine.unload(name)
        give_back_memory()
        logger.info("unloaded %s", name)

    @property
    def is_changing(self) -> bool:
        """Whether a model is just coming or going."""
        return self._changing.locked()

    def _change(self, change: Callable[[], None]) -> None:
        """Make a change on a thread of its own, which nobody has to wait for when the server stops.

        Raises what it raises, and Draining.
        """
        outcome: Future[None] = Future()

        def make() -> None:
            try:
                with self._changing:
                    self._refuse_while_stopping()
                    change()
            except BaseException as error:  # not ours to judge: whoever waits gets it
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

        threading.Thread(target=make, name="residency", daemon=True).start()
        while not wait_for([outcome], timeout=STOPPING_CHECK_S).done:
            self._refuse_while_stopping()
        outcome.result()

    def _refuse_while_stopping(self) -> None:
        if self._engine.stats().draining:
            raise Draining("the server is stopping")

    def folder(self, name: str) -> ModelFolder:
        """Raises ModelNotFound, naming those at hand."""
        return get_model(self.at_hand(), name)


def _is_another(folder: ModelFolder, loaded: LoadedModel) -> bool:
    """Whether the folder holds another model by now. Raises ModelInvalid without weights in it."""
    if folder.card != loaded.card:
        return True
    # A card that names its weights has told already; gigabytes are not read again for it.
    return folder.card.weights_sha256 is None and folder.weights_digest != loaded.digest


def give_back_memory() -> None:
    """What is free already, or will be after a collection."""
    gc.collect()  # finished requests refer to their model, some of them in circles
    give_back_free_memory()


def give_back_free_memory() -> None:
    """What a forward left for the next one, and would count as taken."""
    torch.cuda.empty_cache()
    give_back_freed_memory()
