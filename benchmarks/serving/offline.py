"""The best that one process can do without a server: batches of one kind at the best batch size."""

import time
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import torch

from diffusion_core.classic import classical_table
from diffusion_core.decoder import to_uint8
from diffusion_core.model import LoadedModel
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, StepProgram, compile_program, sample
from service.png import Provenance, encode
from service.version import VERSION

from .work import Item, Kind, batches

TRIAL_ROWS = (1, 2, 4, 8, 16, 32, 64)
TRIAL_STEPS = 8
TRIALS = 3


class OfflineSampler:
    """A loop over batches: noise, `diffusion_core.program.sample`, PNG."""

    def __init__(self, model: LoadedModel):
        self._model = model
        self._program = cache(self._compile)

    def best_rows(self) -> tuple[dict[int, int], dict[str, dict[int, float]]]:
        """By trial: rows per batch for unguided (1) and guided (2) images, and the rates seen.

        The rates are network rows a second, by rows per batch.
        """
        best: dict[int, int] = {}
        seen: dict[str, dict[int, float]] = {}
        for guidance_scale in (1.0, 2.0):
            kind = Kind(TRIAL_STEPS, guidance_scale, "ab2")
            counts = [rows for rows in TRIAL_ROWS if rows >= kind.rows]
            rates = {rows: self._rate(kind, rows) for rows in counts}
            best[kind.rows] = max(rates, key=rates.__getitem__)
            seen["unguided" if kind.rows == 1 else "guided"] = rates
        return best, seen

    def run(self, items: Sequence[Item], rows_per_batch: dict[int, int]) -> float:
        """Make every image; returns the seconds that it took."""
        work = batches(items, lambda kind: rows_per_batch[kind.rows] // kind.rows)
        for kind in {kind for kind, _ in work}:
            self._program(kind)  # a server has compiled its programs, too
        started = time.perf_counter()
        for kind, batch in work:
            self.pictures(kind, batch)
        return time.perf_counter() - started

    def pictures(self, kind: Kind, batch: Sequence[Item]) -> list[bytes]:
        """The PNG files of one batch."""
        return [
            encode(picture, self._provenance(item))
            for picture, item in zip(self.pixels(kind, batch), batch, strict=True)
        ]

    @torch.inference_mode()
    def pixels(self, kind: Kind, batch: Sequence[Item]) -> npt.NDArray[np.uint8]:
        """(B, H, W, 3) of one batch."""
        model, card = self._model, self._model.card
        noise = torch.stack([initial_noise(item.seed, card.latent_shape) for item in batch])
        class_label = torch.tensor([item.class_id for item in batch])
        guidance = None
        if kind.rows == 2:
            guidance = Guidance.of_all(
                kind.guidance_scale, len(batch), card.null_class, card.guided_channels
            )
        latents = sample(model.network, self._program(kind), noise, class_label, guidance)
        pixels: npt.NDArray[np.uint8] = to_uint8(model.decoder(latents)).numpy()
        return pixels

    def _rate(self, kind: Kind, rows: int) -> float:
        batch = [Item(kind, class_id=0, seed=seed) for seed in range(rows // kind.rows)]
        self.pictures(kind, batch)
        fastest = min(self._seconds(kind, batch) for _ in range(TRIALS))
        return len(batch) * kind.cost / fastest

    def _seconds(self, kind: Kind, batch: Sequence[Item]) -> float:
        started = time.perf_counter()
        self.pictures(kind, batch)
        return time.perf_counter() - started

    def _compile(self, kind: Kind) -> StepProgram:
        card = self._model.card
        return compile_program(classical_table(kind.solver, card.schedule, kind.steps), card.kind)

    def _provenance(self, item: Item) -> Provenance:
        kind, card = item.kind, self._model.card
        return Provenance(
            model=card.name,
            model_digest=self._model.digest,
            class_id=item.class_id,
            class_name=card.classes[item.class_id],
            solver=kind.solver,
            solver_version=None,
            solver_digest=classical_table(kind.solver, card.schedule, kind.steps).digest,
            steps=kind.steps,
            guidance_scale=kind.guidance_scale,
            seed=item.seed,
            deterministic=False,
            fewstep=VERSION,
        )
