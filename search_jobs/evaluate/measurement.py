"""What is known of one table: figures with their errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from diffusion_core.quality import Estimate, accuracy_interval


class Metric(StrEnum):
    ENDPOINT_RMSE = "endpoint_rmse"  # from the converged solution, in latents
    PSNR = "psnr"  # dB, of decoded pictures
    FRECHET_DISTANCE = "frechet_distance"  # to real images, in the judge's features
    CLASS_ACCURACY = "class_accuracy"  # the judge reads the class that was asked for
    PRECISION = "precision"  # samples that could be real
    RECALL = "recall"  # real images that could be samples

    @property
    def lower_is_better(self) -> bool:
        return self in (Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE)


@dataclass(frozen=True)
class Measurement:
    """The figures of one table; none where some of its samples are not finite."""

    digest: str  # of the table
    steps: int
    num_samples: int
    num_endpoints: int
    num_broken: int  # samples that are not finite, as far as it was looked
    estimates: Mapping[Metric, Estimate]

    def get(self, metric: Metric) -> Estimate | None:
        return self.estimates.get(metric)

    def interval(self, metric: Metric) -> tuple[float, float]:
        """95 %; of an accuracy Wilson's, which stays within [0, 1] and does not close at 1."""
        estimate = self.estimates[metric]
        if metric is Metric.CLASS_ACCURACY:
            return accuracy_interval(estimate.value, self.num_samples)
        return estimate.interval

    def as_dict(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "steps": self.steps,
            "num_samples": self.num_samples,
            "num_endpoints": self.num_endpoints,
            "num_broken": self.num_broken,
            "estimates": {
                metric.value: {"value": estimate.value, "without": list(estimate.without)}
                for metric, estimate in self.estimates.items()
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Measurement":
        estimates = {
            Metric(name): Estimate(figures["value"], tuple(figures["without"]))
            for name, figures in content["estimates"].items()
        }
        return cls(**(dict(content) | {"estimates": estimates}))
