"""Train the judge on rendered glyphs of the training fonts; report it on the held-out fonts."""

import json
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import track
from safetensors.torch import save
from torch import nn

from diffusion_core.files import write_atomically
from diffusion_core.networks.classifier import GlyphClassifier

from .glyphs import CLASSES, GlyphMasks, load_masks
from .paths import BUNDLE, MASKS, RESULTS
from .rendering import GlyphRenderer

JUDGE = BUNDLE / "judge.safetensors"
REPORT = RESULTS / "glyphs-judge.json"
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
TEST_SIZE = 10_000
MAX_CONFUSIONS = 12


def train_classifier(steps: int) -> None:
    """Train, measure, and write the judge's weights and its report."""
    masks = load_masks(MASKS)
    torch.manual_seed(0)
    network = GlyphClassifier(len(CLASSES))
    fit_classifier(network, masks.select(held_out=False), steps, seed=2)
    write_atomically(save(network.state_dict()), JUDGE)
    report = {
        "training_fonts": measure(network, masks.select(held_out=False)),
        "held_out_fonts": measure(network, masks.select(held_out=True)),
        "num_fonts": dict(Counter("held out" if h else "training" for h in font_split(masks))),
        "steps": steps,
    }
    write_atomically((json.dumps(report, indent=2) + "\n").encode(), REPORT)
    print(json.dumps(report, indent=2))


def fit_classifier(network: nn.Module, masks: GlyphMasks, steps: int, seed: int) -> None:
    """Train a network on fresh renderings, which follow the seed; it ends in evaluation mode."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    renderer = GlyphRenderer.of(masks)
    generator = torch.Generator().manual_seed(seed)
    for _ in track(range(steps), "classifier"):
        images, labels = renderer.batch(BATCH_SIZE, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    network.eval().requires_grad_(False)


def measure(network: nn.Module, masks: GlyphMasks) -> dict[str, Any]:
    """Accuracy on fresh renderings, and the classes most often taken for others."""
    renderer = GlyphRenderer.of(masks)
    generator = torch.Generator().manual_seed(3)
    confusions: Counter[str] = Counter()
    for _ in range(TEST_SIZE // 500):
        images, labels = renderer.batch(500, generator)
        found = network(images).argmax(1)
        wrong = found != labels
        for asked, seen in zip(labels[wrong].tolist(), found[wrong].tolist(), strict=True):
            confusions[f"{CLASSES[asked]} read as {CLASSES[seen]}"] += 1
    return {
        "accuracy": 1 - confusions.total() / TEST_SIZE,
        "num_images": TEST_SIZE,
        "most_confused": dict(confusions.most_common(MAX_CONFUSIONS)),
    }


def font_split(masks: GlyphMasks) -> list[bool]:
    """For every font in use, whether it is held out: each has exactly one capital A."""
    flags: list[bool] = masks.held_out[masks.labels == CLASSES.index("A")].tolist()
    return flags
