"""Images per second of a DiT, by our sampler and by diffusers' DiTPipeline, from latents to pixels.

Both have networks of the same sizes with random weights, the same autoencoder, steps, guidance and
batch; they take turns. The floor is what the processor needs for the multiplications alone, at the
rate that it shows for matrices of the network's own shapes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch
from diffusers import AutoencoderKL, DiTPipeline, DiTTransformer2DModel, DPMSolverMultistepScheduler
from torch import Tensor

from diffusion_core.card import DiTArchitecture
from diffusion_core.classic import classical_table
from diffusion_core.decoder import VAEDecoder, to_uint8
from diffusion_core.families import Family
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, compile_program, sample

from ..results import Result
from .random_weights import random_network, randomise

SCALE = 1.5
SOLVER = "dpmpp-2m"
SD_CHANNELS = (128, 256, 512, 512)  # of Stable Diffusion's autoencoder
TFLOP_PER_IMAGE_STEP, TFLOP_TO_DECODE = 2 * 0.2372, 0.62  # DiT-XL/2 at 256 pixels, a guided pair


@dataclass(frozen=True)
class Plan:
    batches: Sequence[int]
    steps: Sequence[int]
    repeats: int  # of each, after one that warms up; the best counts


Draw = Callable[[int, int], object]  # batch, steps


def throughput(family: Family, plan: Plan, device: torch.device, dtype: torch.dtype) -> Result:
    vae = random_autoencoder(SD_CHANNELS, device, dtype)
    contenders: dict[str, Draw] = {
        "ours": our_sampler(family, vae, device, dtype),
        "diffusers": their_pipeline(family, vae, device, dtype),
    }
    rate = matrix_rate(family, device, dtype)
    figures = {"matrix_tflop_per_s": rate}
    for steps in plan.steps:
        floor = rate / (steps * TFLOP_PER_IMAGE_STEP + TFLOP_TO_DECODE)
        for batch in plan.batches:
            seconds = fastest(contenders, batch, steps, plan.repeats, device)
            cell = f"batch {batch}, {steps} steps"
            figures |= {f"{cell}: {name}, images/s": batch / s for name, s in seconds.items()}
            figures[f"{cell}: ours over diffusers"] = seconds["diffusers"] / seconds["ours"]
            figures[f"{cell}: ours over the floor"] = batch / seconds["ours"] / floor
    return Result(
        name=f"models-throughput-{device.type}",
        about="Guided images of random weights, from noise to 8-bit pixels; our sampler and "
        "diffusers' DiTPipeline take turns, the best of the repeats counts. The floor: images per "
        "second if all multiplications ran at the rate of plain matrices.",
        parameters={
            "family": family.name,
            "dtype": str(dtype).removeprefix("torch."),
            "guidance_scale": SCALE,
            "repeats": plan.repeats,
        },
        figures=figures,
        samples={},
    )


def fastest(
    contenders: dict[str, Draw], batch: int, steps: int, repeats: int, device: torch.device
) -> dict[str, float]:
    """Seconds of each one's best repeat."""
    seconds = dict.fromkeys(contenders, float("inf"))
    for repeat in range(repeats + 1):
        for name, draw in contenders.items():
            taken = _timed(partial(draw, batch, steps), device)
            if repeat > 0:
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


def random_autoencoder(channels: Sequence[int], device: torch.device, dtype: torch.dtype) -> Any:
    """Stable Diffusion's, of these widths."""
    vae: Any = AutoencoderKL(
        block_out_channels=tuple(channels),
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=2,
        latent_channels=4,
    )
    return vae.to(device, dtype, memory_format=torch.channels_last).eval().requires_grad_(False)


def matrix_rate(family: Family, device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a block's widest layer for 16 rows of tokens, the best of several tries."""
    sizes = family.architecture
    tokens = 16 * (sizes.input_size // sizes.patch_size) ** 2
    x = torch.randn(tokens, sizes.hidden_size, device=device).to(dtype)
    weight = torch.randn(sizes.hidden_size, 4 * sizes.hidden_size, device=device).to(dtype)
    seconds = min(_timed(partial(torch.matmul, x, weight), device) for _ in range(20))
    return 2 * x.numel() * weight.shape[1] / seconds / 1e12


def _timed(work: Callable[[], object], device: torch.device) -> float:
    started = perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - started
