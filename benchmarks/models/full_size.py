"""The largest network, with random weights: seconds an image takes, and how much memory.

image   10 steps, guided: 20 network rows of 118.6 GMAC, 4.75 TFLOP; its latents are not decoded
"""

import os

import torch

from diffusion_core.classic import classical_table
from diffusion_core.families import get_family
from diffusion_core.host import give_back_freed_memory
from diffusion_core.memory import peak_memory
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, compile_program, sample

from ..processes import resident_bytes
from ..results import Result
from .random_weights import random_network
from .timing import timed

FAMILY = "dit-xl-2-256"
STEPS, SCALE = 10, 1.5
TFLOP_PER_ROW = 2 * 118.6e-3
BYTES_PER_ROW = 6.5e6  # activations of one row in bfloat16, by count


def full_size(repeats: int) -> Result:
    """One guided image at 10 steps in bfloat16, `repeats` times after one that warms up."""
    family = get_family(FAMILY)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = random_network(family, device, torch.bfloat16)
    card = family.card(FAMILY, family.architecture, decoder="sd-linear", weights="none")
    program = compile_program(classical_table(card.default_solver, card.schedule, STEPS), card.kind)
    noise = initial_noise(0, card.latent_shape).unsqueeze(0).to(device)
    label = torch.tensor([207], device=device)
    guidance = Guidance.of_all(SCALE, 1, card.null_class, card.guided_channels, device)

    @torch.inference_mode()
    def draw() -> None:
        assert bool(sample(network, program, noise, label, guidance).isfinite().all())

    # The first one, which warms up, tells the memory: making the weights has taken more.
    working = peak_memory(draw, device)
    peak = held_bytes(device) + working
    seconds = [timed(draw, device) for _ in range(repeats)]
    weights = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    best = min(seconds)
    return Result(
        name="models-full-size",
        about="DiT-XL/2 with random weights in bfloat16: one image of 10 guided steps, without "
        "decoding. Memory is the most while it is drawn: of the whole process, torch and its "
        "libraries included, on a GPU what torch has taken there; and beside what is there before "
        "and after.",
        parameters={"family": FAMILY, "steps": STEPS, "guidance_scale": SCALE, "repeats": repeats},
        figures={
            "seconds_per_image": best,
            "tflop_per_s": 2 * STEPS * TFLOP_PER_ROW / best,
            "peak_memory_gb": peak / 1e9,
            "working_memory_gb": working / 1e9,
            "activations_by_count_gb": 2 * BYTES_PER_ROW / 1e9,
            "weights_gb": weights / 1e9,
            "weights_and_activations_by_count_gb": (weights + 2 * BYTES_PER_ROW) / 1e9,
        },
        samples={"seconds": seconds},
    )


def held_bytes(device: torch.device) -> int:
    """On a GPU what torch has taken there, else what the process holds."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved(device)
    give_back_freed_memory()
    return resident_bytes(os.getpid())
