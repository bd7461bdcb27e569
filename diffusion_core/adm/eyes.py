"""The Inception network with the numbers of a file, and what it sees of pictures."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..conversion.checkpoint import read_checkpoint
from ..model import check_fit
from ..networks.blank import blank
from ..networks.inception import InceptionFeatures, InceptionV3

_COUNT = "num_batches_tracked"  # torch's own, which a port of the graph's numbers may lack


def load_inception(path: Path, device: torch.device) -> InceptionV3:
    """The network with the numbers of a file, `.pth` or `.safetensors`.

    Raises ModelInvalid where the file is missing, damaged or holds something else.
    """
    with blank():
        network = InceptionV3()
    weights = _without_counts(read_checkpoint(path, ()))
    check_fit(str(path), _without_counts(network.state_dict()), weights)
    counts = {name: torch.tensor(0) for name in network.state_dict() if name.endswith(_COUNT)}
    network.load_state_dict({**weights, **counts}, assign=True)
    return network.to(device, torch.float32).eval().requires_grad_(False)


@torch.inference_mode()
def read_pictures(network: InceptionV3, pictures: Tensor) -> InceptionFeatures:
    """What Inception sees of pictures (B, H, W, 3) uint8, on the host.

    Convolutions in all of float32: what torch saves on a GPU by TF32 would show in the figures.
    """
    device = network.fc.weight.device
    images = pictures.to(device).permute(0, 3, 1, 2)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        features = network(images)
    return InceptionFeatures(features.pool.cpu(), features.spatial.cpu())


def _without_counts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not name.endswith(_COUNT)}
