"""What a search descends: the loss of a table on a batch of samples.

    TrajectoryObjective     the paper's: near the teacher's path at every step, and at its end
    EndpointObjective       near the converged ODE's end
    DistributionObjective   features like those of real images, more or less near that end

Everything random follows from the seed and the number of the iteration (batches.py), so that a
search that is resumed repeats nothing and skips nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffusion_core.coefficients import Coefficients
from diffusion_core.program import Network, compile_program, sample, trajectory
from diffusion_core.quality import FeatureStatistics

from .batches import Batches
from .frechet import RunningFrechet
from .problem import Problem

FORWARD, FORWARD_AND_BACKWARD = 1, 3  # network evaluations, as budgets count them
TRIAL_SAMPLES, DISTRIBUTION_TRIAL_SAMPLES = 64, 192
FIRST_PREPARING = 2**31  # iterations that no search reaches


class Objective(nn.Module, ABC):
    """A loss of coefficients. Its state, if any, lies in buffers, and is saved with the search."""

    problem: Problem
    batches: Batches

    @abstractmethod
    def loss(self, coefficients: Coefficients, network: Network, iteration: int) -> Tensor:
        """Of this process' share of the batch; differentiable in the coefficients.

        network  the problem's, perhaps one that computes its activations again
        """

    @abstractmethod
    def cost(self, steps: int) -> int:
        """Network evaluations of one iteration, without activations computed again."""

    def upfront_cost(self, steps: int) -> int:
        """Network evaluations before the first iteration."""
        return 0

    def prepare(self, coefficients: Coefficients) -> None:
        """What must be known before the first iteration."""

    def trial(self, coefficients: Coefficients) -> float:
        """How good a start would be: lower is better. The same samples for every start."""
        raise NotImplementedError("this objective has one start only")

    def trial_cost(self, steps: int) -> int:
        """Network evaluations of one trial."""
        raise NotImplementedError("this objective has one start only")


class TrajectoryObjective(Objective):
    """sum_i MSE(x_i, teacher at the nearest time) + 1000 Huber(x_N, teacher's end; delta = 1e-3).

    The teacher is Euler (DDIM on vp) with 100 uniform steps from the same noise.

    Source: Wang et al. 2025 (arXiv 2505.21114), section 4 and appendix.
    """

    HUBER_WEIGHT, HUBER_DELTA = 1000.0, 1e-3

    def __init__(self, problem: Problem, batches: Batches, teacher: Coefficients):
        super().__init__()
        self.problem = problem
        self.batches = batches
        self._teacher = teacher

    def loss(self, coefficients: Coefficients, network: Network, iteration: int) -> Tensor:
        problem = self.problem
        noise, labels = problem.draw(self.batches.fresh(iteration))
        guidance = problem.guidance(len(labels))
        with torch.no_grad():
            program = compile_program(self._teacher, problem.kind)
            # A trajectory of 100 states: those at the times of the solver are all that is kept.
            wanted = self._nearest(coefficients.times[1:])
            states = enumerate(
                trajectory(problem.network, program, noise, labels, guidance), start=1
            )
            teacher = {n: state for n, state in states if n in wanted}
            teacher |= {0: noise}
        program = compile_program(coefficients, problem.kind)
        total = torch.zeros((), device=problem.device)
        x = noise
        for index, x in zip(
            wanted, trajectory(network, program, noise, labels, guidance), strict=True
        ):
            total = total + F.mse_loss(x, teacher[index])
        end = teacher[self._teacher.nfe]
        return total + self.HUBER_WEIGHT * F.huber_loss(x, end, delta=self.HUBER_DELTA)

    def cost(self, steps: int) -> int:
        return self.batches.size * (FORWARD * self._teacher.nfe + FORWARD_AND_BACKWARD * steps)

    def _nearest(self, times: Tensor) -> list[int]:
        gaps = (times.detach()[:, None] - self._teacher.times[None, :]).abs()
        nearest: list[int] = gaps.argmin(dim=1).tolist()
        return [*nearest[:-1], self._teacher.nfe]


class EndpointObjective(Objective):
    """Mean squared distance from the converged ODE's end, on the teacher's samples."""

    SCALE = 100.0

    def __init__(self, problem: Problem, batches: Batches, endpoints: Tensor, teacher_cost: int):
        """endpoints: (S, C, H, W) of noise seeds 0 to S - 1."""
        super().__init__()
        self.problem = problem
        self.batches = batches
        self.endpoints = endpoints
        self._teacher_cost = teacher_cost

    def loss(self, coefficients: Coefficients, network: Network, iteration: int) -> Tensor:
        seeds = self.batches.among(self.num_endpoints, iteration)
        return self.distance(sample_of(self.problem, coefficients, network, seeds), seeds)

    @property
    def num_endpoints(self) -> int:
        return len(self.endpoints)

    @torch.no_grad()
    def trial(self, coefficients: Coefficients) -> float:
        seeds = range(self._num_tried)
        samples = sample_of(self.problem, coefficients, self.problem.network, seeds)
        return float(self.distance(samples, seeds))

    def trial_cost(self, steps: int) -> int:
        return self._num_tried * FORWARD * steps

    @property
    def _num_tried(self) -> int:
        return min(TRIAL_SAMPLES, self.num_endpoints)

    def distance(self, samples: Tensor, seeds: Sequence[int]) -> Tensor:
        return self.SCALE * F.mse_loss(samples, self.endpoints[list(seeds)])

    def cost(self, steps: int) -> int:
        return self.batches.size * FORWARD_AND_BACKWARD * steps

    def upfront_cost(self, steps: int) -> int:
        return self._teacher_cost


@dataclass(frozen=True)
class Critic:
    """What tells real images from others: another network than the one that measures."""

    features: Callable[[Tensor], Tensor]  # latents (B, C, H, W) -> (B, D), differentiable
    reference: FeatureStatistics  # of real images
    classify: Callable[[Tensor], Tensor] | None = None  # features (B, D) -> logits (B, K)


class DistributionObjective(Objective):
    """frechet(features, those of real images) + class_weight * cross entropy + weight * endpoint.

    The cross entropy is the critic's, where it reads classes: images that look real as a set may
    still show other classes than were asked for.

    A batch says little about moments, and an average over many batches lags behind the table: the
    search overshoots. But the features of the converged ODE's ends are known for all noises, so
    that only differences from them, at equal noises, are left to be averaged (a control variate):

        mean(f) = mean(f_end) + running mean(f - f_end)         likewise mean(f f^T)
    """

    def __init__(
        self,
        endpoint: EndpointObjective,
        critic: Critic,
        memory: int,
        *,
        weight: float = 0.0,
        class_weight: float = 0.0,
    ):
        """memory: about how many samples the running means remember."""
        super().__init__()
        self.problem = endpoint.problem
        self.batches = endpoint.batches
        self.endpoint = endpoint
        self._critic = critic
        self._memory = memory
        self._weight = weight
        self._class_weight = class_weight
        with torch.no_grad():
            batches = torch.split(endpoint.endpoints, TRIAL_SAMPLES)
            self._end_features = torch.cat([critic.features(ends) for ends in batches]).double()
        self._end_moments = moments(self._end_features)
        self.frechet = self._running(decay=1.0 - self.batches.size / memory)

    @torch.no_grad()
    def prepare(self, coefficients: Coefficients) -> None:
        """Fill the running means, from samples of the start."""
        for n in range(self._num_prepared):
            seeds = self.batches.among(self.endpoint.num_endpoints, FIRST_PREPARING + n)
            samples = sample_of(self.problem, coefficients, self.problem.network, seeds)
            self._observe(self._critic.features(samples), seeds)

    @torch.no_grad()
    def trial(self, coefficients: Coefficients) -> float:
        seeds = range(self._num_tried)
        parts = [seeds[i : i + TRIAL_SAMPLES] for i in range(0, len(seeds), TRIAL_SAMPLES)]
        network = self.problem.network
        samples = torch.cat([sample_of(self.problem, coefficients, network, p) for p in parts])
        features = self._critic.features(samples)
        once = self._running(decay=0.0)
        once.observe(*self._moments(features, seeds))
        return once.distance() + float(self._of_each(samples, features, seeds))

    def trial_cost(self, steps: int) -> int:
        return self._num_tried * FORWARD * steps

    @property
    def _num_tried(self) -> int:
        return min(DISTRIBUTION_TRIAL_SAMPLES, self.endpoint.num_endpoints)

    def loss(self, coefficients: Coefficients, network: Network, iteration: int) -> Tensor:
        seeds = self.batches.among(self.endpoint.num_endpoints, iteration)
        samples = sample_of(self.problem, coefficients, network, seeds)
        features = self._critic.features(samples)
        self._observe(features.detach(), seeds)
        linearised = self.frechet.loss(features)
        # Its value means nothing, its gradient does: the value shown is the distance itself.
        distance = linearised - linearised.detach() + self.frechet.distance()
        return distance + self._of_each(samples, features, seeds)

    def _of_each(self, samples: Tensor, features: Tensor, seeds: Sequence[int]) -> Tensor:
        """The parts that are means over samples."""
        near = self._weight * self.endpoint.distance(samples, seeds)
        if self._critic.classify is None:
            return near
        logits = self._critic.classify(features)
        return near + self._class_weight * F.cross_entropy(logits, self.problem.labels(seeds))

    def cost(self, steps: int) -> int:
        return self.endpoint.cost(steps)

    def upfront_cost(self, steps: int) -> int:
        prepared = self._num_prepared * self.batches.size * FORWARD * steps
        return self.endpoint.upfront_cost(steps) + prepared

    @property
    def _num_prepared(self) -> int:
        return max(1, self._memory // self.batches.size)

    def _running(self, decay: float) -> RunningFrechet:
        """On the device of the features, which need not be that of the reference."""
        return RunningFrechet(self._critic.reference, decay).to(self._end_features.device)

    def _observe(self, features: Tensor, seeds: Sequence[int]) -> None:
        observed = self._moments(features, seeds)
        self.batches.shard.mean(observed)
        self.frechet.observe(*observed)

    def _moments(self, features: Tensor, seeds: Sequence[int]) -> list[Tensor]:
        """Of all samples, by these of them: (D,) and (D, D)."""
        here, ends = moments(features.double()), moments(self._end_features[list(seeds)])
        known = self._end_moments
        return [all_ + own - theirs for all_, own, theirs in zip(known, here, ends, strict=True)]


def moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The means of f and of f f^T, of features (B, D): (D,) and (D, D)."""
    return rows.mean(dim=0), rows.T @ rows / len(rows)


def sample_of(
    problem: Problem, coefficients: Coefficients, network: Network, seeds: Sequence[int]
) -> Tensor:
    """Samples (B, C, H, W) of a table from the noises of these seeds."""
    program = compile_program(coefficients, problem.kind)
    noise, labels = problem.draw(seeds)
    return sample(network, program, noise, labels, problem.guidance(len(labels)))
