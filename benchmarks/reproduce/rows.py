"""What was published, as data: the searched tables on the three models of the paper.

Source: the tables of Wang et al. 2025, "Differentiable solver search for fast diffusion sampling",
arXiv 2505.21114, for the distances. Its repository, MCG-NJU/NeuralSolver at commit 7188794, repeats
some of them: SiT's in README.md, which alone has the one at 15 steps; SiT's and FlowDCN's in
tools/fid_curve/; DiT's nowhere. From there are guidance and autoencoder (configs/) and the classes,
of which every one is asked for equally often (src/data/randn.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .recipe import Labels

NUM_SAMPLES = 50_000  # of every published distance


@dataclass(frozen=True)
class Row:
    """One line of the paper: a model, whose tables sampled it, and how far from ImageNet it was."""

    name: str
    family: str  # of the network, as in diffusion_core/families
    tables: str  # of the solvers, as in solver_store/published
    guidance_scale: float
    guided_channels: int
    labels: Labels
    fids: Mapping[int, float]  # by number of steps

    def solver(self, steps: int) -> str:
        return f"{self.tables}-{steps}"


_SIT = Row(
    name="sit-xl-2",
    family="sit-xl-2-256",
    tables="flowdcn-b-256",
    guidance_scale=1.375,
    guided_channels=4,
    labels=Labels.BALANCED,
    fids={5: 4.92, 6: 3.57, 7: 2.78, 8: 2.65, 9: 2.47, 10: 2.40, 15: 2.24},
)
_SIT_ITS_OWN = Row(
    name="sit-xl-2-own-tables",
    family="sit-xl-2-256",
    tables="sit-xl-256",
    guidance_scale=1.375,
    guided_channels=4,
    labels=Labels.BALANCED,
    fids={5: 5.65, 6: 3.46, 7: 2.86, 8: 2.68, 9: 2.58, 10: 2.43},
)
_FLOWDCN = Row(
    name="flowdcn-xl-2",
    family="flowdcn-xl-2-256",
    tables="flowdcn-b-256",
    guidance_scale=1.375,
    guided_channels=4,
    labels=Labels.BALANCED,
    fids={5: 5.10, 6: 3.41, 7: 2.73, 8: 2.60, 9: 2.46, 10: 2.35},
)
_DIT = Row(
    name="dit-xl-2",
    family="dit-xl-2-256",
    tables="dit-xl-256",
    guidance_scale=1.5,
    guided_channels=3,
    labels=Labels.BALANCED,
    fids={5: 7.40, 6: 3.94, 7: 2.79, 8: 2.51, 9: 2.37, 10: 2.33},
)

ROWS = {row.name: row for row in (_SIT, _SIT_ITS_OWN, _FLOWDCN, _DIT)}
