"""FID, sFID, Inception score, precision and recall, as ADM's evaluator takes them.

Two things are finer here: sums are float64 where it has float32, and distances between neighbours
float32 where it tries float16 first. Precision and recall can differ in their third digit for it.

Source: Dhariwal & Nichol, "Diffusion models beat GANs on image synthesis" (2021), and their
evaluator (github.com/openai/guided-diffusion, evaluations/evaluator.py).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.inception import InceptionV3
from ..quality import FeatureStatistics, Manifold, frechet_distance

NUM_TOGETHER = 5000  # pictures whose classes an Inception score compares


@dataclass(frozen=True)
class InceptionReference:
    """Real pictures: the moments of all of them."""

    pool: FeatureStatistics  # over 2048 features
    spatial: FeatureStatistics  # over 2023


@dataclass(frozen=True)
class InceptionQuality:
    """The five figures of a set of samples."""

    fid: float
    sfid: float
    inception_score: float
    precision: float
    recall: float


def inception_quality(
    network: InceptionV3,
    samples: Tensor,
    spatial: FeatureStatistics,
    real: Tensor,
    reference: InceptionReference,
) -> InceptionQuality:
    """Compare samples with real pictures; neighbours are sought on the network's device.

    samples  (N, 2048)  pool features of the samples, in the order in which they were made
    spatial             moments of the samples' spatial features
    real     (R, 2048)  pool features of some real pictures, for precision and recall

    Raises ValueError for fewer than 4 samples or real pictures.
    """
    device = network.fc.weight.device
    ours, theirs = samples.to(device), real.to(device)
    with torch.inference_mode():
        logits = network.logits(ours)
    return InceptionQuality(
        fid=frechet_distance(FeatureStatistics.of(samples), reference.pool),
        sfid=frechet_distance(spatial, reference.spatial),
        inception_score=inception_score(logits),
        precision=_covered(Manifold.of(theirs), ours),
        recall=_covered(Manifold.of(ours), theirs),
    )


def inception_score(logits: Tensor, together: int = NUM_TOGETHER) -> float:
    """exp of how much a picture says of its class: mean of KL(p(class | picture) || p(class)).

    logits    (N, K)  in the order in which the pictures were made
    together  p(class) is the mean over so many; the score is the mean over these parts

    Source: Salimans et al., "Improved techniques for training GANs" (2016).
    """
    scores = []
    for part in torch.split(logits.double(), together):
        log_p = part.log_softmax(1)  # (together, K)
        marginal = log_p.logsumexp(0) - math.log(len(part))  # (K,)
        scores.append((log_p.exp() * (log_p - marginal)).sum(1).mean().exp())
    return float(torch.stack(scores).mean())


def _covered(region: Manifold, points: Tensor) -> float:
    """The share of the points that lie in a region."""
    return float(region.covers(points).double().mean())
