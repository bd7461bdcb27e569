"""Images -> FID, sFID, Inception score, precision, recall."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from diffusion_core.adm import (
    AdmReference,
    InceptionQuality,
    inception_quality,
    load_inception,
    read_pictures,
)
from diffusion_core.networks.inception import NUM_SPATIAL, InceptionV3
from diffusion_core.quality import FeatureStatistics
from search_jobs.search import Shard
from solver_store.records import JSON

from .archive import IMAGES
from .chunks import Chunks
from .filling import Tell, fill
from .models import digest_of

BATCH_SIZE = 50  # pictures that Inception reads together
POOL, SPATIAL = "pool", "spatial"

Pictures = Callable[[range], Tensor]  # (B, H, W, 3) uint8 by number


@dataclass(frozen=True)
class Measure:
    """With whose eyes, and against what, samples are measured."""

    inception: Path
    reference: Path

    def check(self) -> None:
        """Raises ModelInvalid where a file is missing, damaged or holds something else."""
        load_inception(self.inception, torch.device("cpu"))
        AdmReference.open(self.reference)

    def digests(self) -> dict[str, str]:
        """Raises OSError."""
        return {
            "inception": digest_of(self.inception),
            "reference": digest_of(self.reference),
        }


def measure(
    images: Chunks, by: Measure, digests: Mapping[str, str], device: torch.device, shard: Shard
) -> InceptionQuality | None:
    """The figures, in the first process; all of them look at pictures.

    What Inception has seen is kept beside the images.

    Raises BenchmarkError, ModelInvalid, OSError, SearchError.
    """
    network, reference = load_inception(by.inception, device), AdmReference.open(by.reference)
    samples, real = _features_of(images, len(reference), digests)
    _look(network, lambda span: _kept(images, span), samples, shard, "looking at samples")
    _look(network, reference.pictures, real, shard, "looking at real pictures")
    if not shard.is_first:
        return None
    spatial = FeatureStatistics.empty(NUM_SPATIAL)
    for index in range(len(samples)):
        spatial += FeatureStatistics.of(samples.read(index)[SPATIAL])
    return inception_quality(
        network, _pools(samples), spatial, _pools(real), reference.statistics()
    )


def _features_of(
    images: Chunks, num_real: int, digests: Mapping[str, str]
) -> tuple[Chunks, Chunks]:
    """Where features lie: of the samples, and of the reference's pictures."""
    eyes = digests["inception"]
    of_images: dict[str, JSON] = {"inception": eyes, "images": images.origin}
    of_real: dict[str, JSON] = {
        "inception": eyes,
        "reference": digests["reference"],
        "piece": images.size,
    }
    return (
        Chunks(images.folder.with_name("features"), of_images, images.num_items, images.size),
        Chunks(images.folder.with_name("real-features"), of_real, num_real, images.size),
    )


def _kept(images: Chunks, span: range) -> Tensor:
    return images.read(span.start // images.size)[IMAGES]


def _look(
    network: InceptionV3, pictures: Pictures, features: Chunks, shard: Shard, title: str
) -> None:
    def make(span: range, tell: Tell) -> dict[str, Tensor]:
        seen = []
        for batch in torch.split(pictures(span), BATCH_SIZE):
            seen.append(read_pictures(network, batch))
            tell(len(batch))
        return {
            POOL: torch.cat([part.pool for part in seen]),
            SPATIAL: torch.cat([part.spatial for part in seen]),
        }

    fill(features, make, shard, title)


def _pools(features: Chunks) -> Tensor:
    """(N, 2048), in the order of the pictures."""
    return torch.cat([features.read(index)[POOL] for index in range(len(features))])
