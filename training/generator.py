"""Train a bundled model on rendered glyphs: class dropout, moving average of the weights.

The run has a budget of steps or of minutes, and the learning rate follows the fraction spent; so a
slower machine trains fewer steps, but always through the whole schedule.
"""

import copy
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich import progress as bars
from safetensors.torch import load_file
from torch import nn

from .checkpoint import Progress, load_checkpoint, save_checkpoint
from .glyphs import CLASSES, load_masks
from .loss import DiffusionLoss, LossFunction, TimesRecipe
from .paths import MASKS
from .rendering import GlyphRenderer
from .sampling import sample
from .sheet import save_sheet
from .siblings import SIBLINGS, Sibling


@dataclass(frozen=True)
class Recipe:
    minutes: float
    steps: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    decay_fraction: float = 0.3  # of the budget, at its end
    label_dropout: float = 0.1
    times: TimesRecipe = field(default_factory=TimesRecipe)
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

    def __init__(
        self,
        sibling: Sibling,
        network: nn.Module,
        renderer: GlyphRenderer,
        recipe: Recipe,
        checkpoint: Path,
    ):
        self.sibling = sibling
        self.network = network
        self.renderer = renderer
        self.recipe = recipe
        self.checkpoint = checkpoint
        self.loss: LossFunction = DiffusionLoss(network, sibling.kind)
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
            task = bar.add_task(self.sibling.name, total=1.0)
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
        times = self.recipe.times.draw(len(images), generator)
        dropped = torch.rand(len(labels), generator=generator) < self.recipe.label_dropout
        labels = labels.masked_fill(dropped, len(CLASSES))
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
            images = sample(self.sibling, self.average, noise, labels, 1.5, steps=20)
        save_sheet(images, 12, self.checkpoint.parent / f"sheet-{self.progress.step:06d}.png")


def fastest_loss(loss: LossFunction, network: nn.Module) -> LossFunction:
    """The loss compiled, or eager where there is no working compiler."""
    compiled: LossFunction = torch.compile(loss)
    image = torch.zeros(64, 3, 32, 32)
    try:
        trial = compiled(image, image, torch.full((64,), 0.5), torch.zeros(64, dtype=torch.long))
        torch.autograd.backward(trial)
    except Exception as error:  # torch.compile has no common root for "no compiler here"
        print(f"torch.compile does not work here ({type(error).__name__}); training eagerly")
        return loss
    network.zero_grad(set_to_none=True)
    return compiled


def train_generator(sibling: Sibling, minutes: float, steps: int) -> None:
    """Train a bundled model on the training fonts, or go on where it was interrupted."""
    torch.manual_seed(0)
    network = sibling.build()
    if sibling.starts_from is not None:
        network.load_state_dict(load_file(SIBLINGS[sibling.starts_from].weights))
    renderer = GlyphRenderer.of(load_masks(MASKS).select(held_out=False))
    recipe = Recipe(minutes, steps)
    training = GeneratorTraining(sibling, network, renderer, recipe, sibling.checkpoint)
    training.loss = fastest_loss(training.loss, training.network)
    training.run()
