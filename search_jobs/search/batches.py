"""Which noises an iteration draws.

They follow from the seed of the search and the number of the iteration alone. Noise seeds of a
search lie below 2^40, those of evaluations above.
"""

import numpy as np

from .shard import Shard

FIRST_FRESH_SEED, END_OF_SEEDS = 2**20, 2**40  # below lie the teacher's


class Batches:
    """Noise seeds of every iteration."""

    def __init__(self, size: int, seed: int, shard: Shard):
        self.size = size
        self.shard = shard
        self._seed = seed

    def fresh(self, iteration: int) -> list[int]:
        """Seeds that were never used; consecutive ones, so that their classes take turns."""
        first = int(self._chance(iteration).integers(FIRST_FRESH_SEED, END_OF_SEEDS - self.size))
        return self.shard.share(range(first, first + self.size))

    def among(self, count: int, iteration: int) -> list[int]:
        """Of `count` seeds from 0: every epoch goes through them in an order of its own.

        What does not fill a batch is left out of its epoch. A batch larger than `count` repeats.
        """
        per_epoch = max(1, count // self.size)
        epoch, position = divmod(iteration, per_epoch)
        order = self._chance(epoch).permutation(count).tolist()
        start = position * self.size
        return self.shard.share((order * (1 + self.size // count))[start : start + self.size])

    def _chance(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, number))
