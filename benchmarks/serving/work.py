"""What is asked of a server: seeded lists of images of every kind."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any

SOLVERS = ("euler", "ab2", "dpmpp-2m")
STEPS = range(4, 21)
GUIDANCE_SCALES = (1.0, 2.0)
MAX_SEED = 2**32


@dataclass(frozen=True)
class Kind:
    """What images must share to run as one offline batch."""

    steps: int
    guidance_scale: float
    solver: str

    @property
    def rows(self) -> int:
        """Network rows that an image takes in a step."""
        return 1 if self.guidance_scale == 1.0 else 2

    @property
    def cost(self) -> int:
        """Network rows that an image takes in all."""
        return self.rows * self.steps


@dataclass(frozen=True)
class Item:
    """One image to make."""

    kind: Kind
    class_id: int
    seed: int

    def body(self) -> dict[str, Any]:
        """As `POST /generate` wants it."""
        return {**asdict(self.kind), "class_id": self.class_id, "seed": self.seed}


def mixed_kinds() -> list[Kind]:
    return [Kind(*values) for values in product(STEPS, GUIDANCE_SCALES, SOLVERS)]


def mixed_work(num_classes: int, per_kind: int, seed: int) -> list[Item]:
    """So many images of every kind, in random order: the mix is exact, whatever the seed."""
    chance = random.Random(seed)
    items = [draw(kind, num_classes, chance) for kind in mixed_kinds() for _ in range(per_kind)]
    chance.shuffle(items)
    return items


def draw(kind: Kind, num_classes: int, chance: random.Random) -> Item:
    return Item(kind, chance.randrange(num_classes), chance.randrange(MAX_SEED))


def by_kind(items: Iterable[Item]) -> dict[Kind, list[Item]]:
    groups: dict[Kind, list[Item]] = {}
    for item in items:
        groups.setdefault(item.kind, []).append(item)
    return groups


def batches(
    items: Iterable[Item], images_per_batch: Callable[[Kind], int]
) -> list[tuple[Kind, list[Item]]]:
    """Grouped by kind, each group cut into even batches of at most so many images."""
    return [
        (kind, batch)
        for kind, group in by_kind(items).items()
        for batch in even_parts(group, images_per_batch(kind))
    ]


def even_parts(items: Sequence[Item], max_size: int) -> list[list[Item]]:
    """As few parts as possible, their sizes as equal as possible, the order kept."""
    num_parts = -(-len(items) // max_size)
    bounds = [len(items) * part // num_parts for part in range(num_parts + 1)]
    return [list(items[a:b]) for a, b in pairwise(bounds)]


def total_cost(items: Iterable[Item]) -> int:
    """Network rows in all."""
    return sum(item.kind.cost for item in items)
