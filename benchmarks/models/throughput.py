"""Images per second of a DiT, by our sampler and by diffusers' DiTPipeline, from latents to pixels.

Both have networks of the same sizes with random weights, the same autoencoder, steps, guidance and
batch; they take turns. The floor is what the processor needs for the multiplications alone, at the
best rate that it shows for matrices of the network's own shapes. Who runs out of memory, as
diffusers may that decodes a whole batch at once, has no figure in that cell.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from diffusers import DiTPipeline, DiTTransformer2DModel, DPMSolverMultistepScheduler
from torch import Tensor

from diffusion_core.card import DiTArchitecture
from diffusion_core.classic import classical_table
from diffusion_core.decoder import VAEDecoder, to_uint8
from diffusion_core.families import Family
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, compile_program, sample

from ..results import Result
from .matrix_rate import matrix_rate
from .random_weights import SD_CHANNELS, random_autoencoder, random_network, randomise
from .timing import timed_in_memory

SCALE = 1.5
SOLVER = "dpmpp-2m"
TFLOP_PER_IMAGE_STEP, TFLOP_TO_DECODE = 2 * 0.2372, 0.62  # DiT-XL/2 at 256 pixels, a guided pair


@dataclass(frozen=True)
class Plan:
    batches: Sequence[int]
    steps: Sequence[int]
    repeats: int  # of each, after one that warms up; the best counts

    @property
    def max_rows(self) -> int:
        """Network rows of its largest forward: a guided image takes two."""
        return 2 * max(self.batches)


Draw = Callable[[int, int], object]  # batch, steps


def throughput(
    family: Family, plan: Plan, device: torch.device, dtype: torch.dtype
) -> Iterator[Result]:
    """All that is known after each cell: the last one is all of it."""
    vae = random_autoencoder(SD_CHANNELS, device, dtype)
    contenders: dict[str, Draw] = {
        "ours": our_sampler(family, vae, device, dtype),
        "diffusers": their_pipeline(family, vae, device, dtype),
    }
    rate = matrix_rate(family, plan.max_rows, device, dtype)
    figures = {"matrix_tflop_per_s": rate}
    notes: list[str] = []
    for steps in plan.steps:
        floor = rate / (steps * TFLOP_PER_IMAGE_STEP + TFLOP_TO_DECODE)
        for batch in plan.batches:
            seconds = fastest(contenders, batch, steps, plan.repeats, device)
            cell = f"batch {batch}, {steps} steps"
            figures |= _figures(cell, {name: batch / s for name, s in seconds.items()}, floor)
            notes += [f"{cell}: {n} ran out of memory" for n in contenders if n not in seconds]
            yield _result(family, plan, device, dtype, dict(figures), tuple(notes))


def _figures(cell: str, rates: Mapping[str, float], floor: float) -> dict[str, float]:
    """rates: images per second of those that had memory enough."""
    figures = {f"{cell}: {name}, images/s": rate for name, rate in rates.items()}
    if "ours" in rates:
        if "diffusers" in rates:
            figures[f"{cell}: ours over diffusers"] = rates["ours"] / rates["diffusers"]
        figures[f"{cell}: ours over the floor"] = rates["ours"] / floor
    return figures


def _result(
    family: Family,
    plan: Plan,
    device: torch.device,
    dtype: torch.dtype,
    figures: Mapping[str, float],
    notes: Sequence[str],
) -> Result:
    return Result(
        name=f"models-throughput-{device.type}",
        about="Guided images of random weights, from noise to 8-bit pixels; our sampler and "
        "diffusers' DiTPipeline take turns, the best of the repeats counts. The floor: images per "
        "second if all multiplications ran at the best rate that was seen of plain matrices.",
        parameters={
            "family": family.name,
            "dtype": str(dtype).removeprefix("torch."),
            "guidance_scale": SCALE,
            **asdict(plan),
        },
        figures=figures,
        samples={},
        notes=notes,
    )


def fastest(
    contenders: Mapping[str, Draw], batch: int, steps: int, repeats: int, device: torch.device
) -> dict[str, float]:
    """Seconds of each one's best repeat; nothing of those whose memory runs out."""
    seconds = dict.fromkeys(contenders, float("inf"))
    for repeat in range(repeats + 1):
        for name in tuple(seconds):
            taken = timed_in_memory(partial(contenders[name], batch, steps), device)
            if taken is None:
                del seconds[name]
            elif repeat > 0:
                seconds[name] = min(seconds[name], taken)
    return seconds


def our_sampler(family: Family, vae: Any, device: torch.device, dtype: torch.dtype) -> Draw:
    network = random_network(family, device, dtype)
    card = family.card(family.name, family.architecture, decoder="sd-linear", weights="none")
    decoder = VAEDecoder(vae, device)

    @torch.inference_mode()
    def draw(batch: int, steps: int) -> Tensor:
        program = compile_program(classical_table(SOLVER, card.schedule, steps), card.kind)
        noise = torch.stack([initial_noise(seed, card.latent_shape) for seed in range(batch)])
        labels = torch.arange(batch, device=device) % len(card.classes)
        guidance = Guidance.of_all(SCALE, batch, card.null_class, card.guided_channels, device)
        latents = sample(network, program, noise.to(device), labels, guidance)
        return to_uint8(decoder(latents)).cpu()

    return draw


def their_pipeline(family: Family, vae: Any, device: torch.device, dtype: torch.dtype) -> Draw:
    sizes = family.architecture
    assert isinstance(sizes, DiTArchitecture)
    transformer: Any = DiTTransformer2DModel(
        num_attention_heads=sizes.num_heads,
        attention_head_dim=sizes.hidden_size // sizes.num_heads,
        in_channels=sizes.in_channels,
        out_channels=sizes.in_channels * (2 if sizes.learn_sigma else 1),
        num_layers=sizes.depth,
        sample_size=sizes.input_size,
        patch_size=sizes.patch_size,
        num_embeds_ada_norm=sizes.num_classes,
    )
    transformer = transformer.to(device, dtype).eval().requires_grad_(False)
    randomise(transformer)
    pipeline: Any = DiTPipeline(transformer, vae, DPMSolverMultistepScheduler())
    pipeline.set_progress_bar_config(disable=True)

    def draw(batch: int, steps: int) -> Any:
        labels = [n % sizes.num_classes for n in range(batch)]
        return pipeline(labels, SCALE, num_inference_steps=steps, output_type="np")

    return draw
