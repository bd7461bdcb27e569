"""Train the SiT on rendered glyphs: rectified flow, class dropout, moving average of the weights.

    x_t = t * data + (1 - t) * noise        t = 0 is noise, t = 1 is data
    loss = | network(x_t, t, label) - (data - noise) |^2

The run has a budget of steps or of minutes, and the learning rate follows the fraction spent; so a
slower machine trains fewer steps, but always through the whole schedule.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich import progress as bars
from safetensors.torch import load_file
from torch import Tensor, nn

from diffusion_core.networks.dit import DiT, DiTConfig
from training.checkpoint import Progress, load_checkpoint, save_checkpoint
from training.glyphs import CLASSES, load_masks
from training.paths import MASKS, WORK
from training.rendering import GlyphRenderer
from training.sampling import sample
from training.sheet import save_sheet

GLYPHS_CONFIG = DiTConfig(
    input_size=32,
    patch_size=4,
    in_channels=3,
    hidden_size=192,
    depth=5,
    num_heads=3,
    num_classes=len(CLASSES),
)
LossFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
CHECKPOINT = WORK / "generator.safetensors"


@dataclass(frozen=True)
class Recipe:
    minutes: float
    steps: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    decay_fraction: float = 0.3  # of the budget, at its end
    label_dropout: float = 0.1
    # Which letter it becomes is settled between t = 0.05 and 0.4 (at 0.5 a reader of the one-step
    # prediction is 94 % right without knowing the class), so most times are drawn there.
    time_centre: float = -0.8  # of the logit-normal times; their median is 0.31
    uniform_fraction: float = 0.3  # of the times
    max_gradient_norm: float = 1.0
    average_decay: float = 0.999
    checkpoint_every: int = 250
    sheet_every: int = 2000

    def spent(self, progress: Progress) -> float:
        """The fraction of the budget used up, 0..1: of steps or of minutes, whichever is more."""
        return min(1.0, max(progress.step / self.steps, progress.seconds / (60 * self.minutes)))

    def rate(self, progress: Progress) -> float:
        """Learning rate: linear warm-up, constant, then a half cosine down to a hundredth."""
        warmup = min(1.0, (progress.step + 1) / self.warmup_steps)
        into_decay = max(0.0, 1 - (1 - self.spent(progress)) / self.decay_fraction)
        decay = 0.01 + 0.99 * (1 + math.cos(math.pi * into_decay)) / 2
        return self.learning_rate * warmup * decay


class GeneratorTraining:
    """Owns the network, its moving average, the optimiser and the progress of one run."""

    def __init__(self, network: DiT, renderer: GlyphRenderer, recipe: Recipe, checkpoint: Path):
        self.network = network
        self.renderer = renderer
        self.recipe = recipe
        self.checkpoint = checkpoint
        self.loss: LossFunction = FlowLoss(network)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            [p for p in self.network.parameters() if p.requires_grad],
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )
        self.progress = Progress()
        if checkpoint.exists():
            self.progress = load_checkpoint(checkpoint, self.network, self.average, self.optimizer)

    def run(self) -> None:
        """Train until the budget is spent, with a progress line and regular checkpoints."""
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns) as bar:
            task = bar.add_task("generator", total=1.0)
            smoothed = 1.0
            while self.recipe.spent(self.progress) < 1:
                smoothed += 0.02 * (self.advance() - smoothed)
                rate = self.progress.step / self.progress.seconds
                line = f"step {self.progress.step}  loss {smoothed:.4f}  {rate:.2f} steps/s"
                bar.update(task, completed=self.recipe.spent(self.progress), description=line)
                if self.progress.step % self.recipe.checkpoint_every == 0:
                    bar.console.print(f"{time.strftime('%H:%M:%S')}  {line}")
                    self.save()
                if self.progress.step % self.recipe.sheet_every == 0:
                    self.save_sheet()
        self.save()
        self.save_sheet()

    def advance(self) -> float:
        """One step, counted and timed."""
        started = time.perf_counter()
        loss = self.step()
        self.progress.seconds += time.perf_counter() - started
        self.progress.step += 1
        return loss

    def step(self) -> float:
        """One optimiser step; everything random follows from the number of the step."""
        generator = torch.Generator().manual_seed(1_000_000 + self.progress.step)
        images, labels = self.renderer.batch(self.recipe.batch_size, generator)
        noise = torch.randn(images.shape, generator=generator)
        times = training_times(len(images), self.recipe, generator)
        dropped = torch.rand(len(labels), generator=generator) < self.recipe.label_dropout
        labels = labels.masked_fill(dropped, self.network.config.num_classes)
        self.optimizer.param_groups[0]["lr"] = self.recipe.rate(self.progress)
        loss = self.loss(images, noise, times, labels)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.max_gradient_norm)
        self.optimizer.step()
        self.update_average()
        return loss.item()

    @torch.no_grad()
    def update_average(self) -> None:
        """Moving average whose memory grows with the run, so that it is usable from the start."""
        step = self.progress.step
        decay = min(self.recipe.average_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.network.parameters()), 1 - decay
        )

    def save(self) -> None:
        save_checkpoint(self.checkpoint, self.network, self.average, self.optimizer, self.progress)

    def save_sheet(self) -> None:
        """Two samples of each class from the averaged weights."""
        labels = torch.arange(len(CLASSES)).repeat_interleave(2)
        noise = torch.randn((len(labels), 3, 32, 32), generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images = sample(self.average, noise, labels, 1.5, solver="ab2", steps=20)
        save_sheet(images, 12, self.checkpoint.parent / f"sheet-{self.progress.step:06d}.png")


def training_times(size: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Times (B,): most logit-normal, where the picture is decided; some uniform for the ends."""
    deciding = (torch.randn(size, generator=generator) + recipe.time_centre).sigmoid()
    anywhere = torch.rand(size, generator=generator)
    is_uniform = torch.rand(size, generator=generator) < recipe.uniform_fraction
    return torch.where(is_uniform, anywhere, deciding)


class FlowLoss(nn.Module):
    """Mean squared error of the velocity, (B, 3, H, W) images and noise, (B,) times and labels."""

    def __init__(self, network: DiT):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, noise: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        t = times[:, None, None, None]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            velocity = self.network(t * images + (1 - t) * noise, times, labels)
        return (velocity.float() - (images - noise)).square().mean()


def fastest_loss(network: DiT) -> LossFunction:
    """The loss compiled, or eager where there is no working compiler."""
    loss = FlowLoss(network)
    compiled: LossFunction = torch.compile(loss)
    image = torch.zeros(64, 3, 32, 32)
    try:
        trial = compiled(image, image, torch.zeros(64), torch.zeros(64, dtype=torch.long))
        torch.autograd.backward(trial)
    except Exception as error:  # torch.compile has no common root for "no compiler here"
        print(f"torch.compile does not work here ({type(error).__name__}); training eagerly")
        return loss
    network.zero_grad(set_to_none=True)
    return compiled


def train_generator(minutes: float, steps: int, start_from: Path | None) -> None:
    """Train the bundled generator on the training fonts, or go on where it was interrupted.

    Where there is no checkpoint, a run may start from shipped weights instead of from nothing.
    """
    torch.manual_seed(0)
    network = DiT(GLYPHS_CONFIG)
    if start_from is not None:
        network.load_state_dict(load_file(start_from))
    renderer = GlyphRenderer.of(load_masks(MASKS).select(held_out=False))
    training = GeneratorTraining(network, renderer, Recipe(minutes, steps), CHECKPOINT)
    training.loss = fastest_loss(training.network)
    training.run()
