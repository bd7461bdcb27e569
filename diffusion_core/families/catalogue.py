"""DiT, SiT and FlowDCN on ImageNet, in all their sizes.

    dit-xl-2-256 = DiT, size XL, patches of 2 x 2 latent pixels, pictures of 256 x 256

Source: Peebles & Xie 2023 (DiT), Ma et al. 2024 (SiT), Wang et al. 2024 (FlowDCN), and their
repositories. Guidance scales and guided channels are those of their published distances; with one
more guided channel, as the papers mean it, 1.375 is what 1.5 is with three.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from solver_store.table import Prediction

from ..card import Architecture, DiTArchitecture, FlowDCNArchitecture, ModelCard
from ..errors import FamilyUnknown

IMAGENET_CLASSES = Path(__file__).with_name("imagenet_classes.txt")
NUM_CLASSES = 1000
LATENT_CHANNELS = 4
LATENT_SCALE = 8  # pixels per latent pixel
RESOLUTIONS = (256, 512)


@dataclass(frozen=True)
class Size:
    hidden_size: int
    depth: int
    num_heads: int  # in FlowDCN, groups of channels


SIZES = {
    "s": Size(384, 12, 6),
    "b": Size(768, 12, 12),
    "l": Size(1024, 24, 16),
    "xl": Size(1152, 28, 16),
}


@dataclass(frozen=True)
class Family:
    """What a network was trained to do, whatever its numbers."""

    name: str
    title: str
    architecture: Architecture
    schedule: str
    prediction: Prediction
    guided_channels: int
    default_guidance_scale: float
    default_solver: str
    licence: str
    source: str

    def card(self, name: str, architecture: Architecture, **files: str | None) -> ModelCard:
        """The card of a model of this family; `architecture` as its checkpoint has it.

        files  decoder, weights, weights_sha256 and vae of the card
        """
        size = architecture.input_size
        return ModelCard.model_validate(
            {
                "name": name,
                "title": self.title,
                "architecture": architecture,
                "schedule": self.schedule,
                "prediction": self.prediction,
                "time_scale": 1.0,
                "latent_shape": (architecture.in_channels, size, size),
                "classes": imagenet_classes(),
                "null_class": NUM_CLASSES,
                "guided_channels": self.guided_channels,
                "default_guidance_scale": self.default_guidance_scale,
                "default_solver": self.default_solver,
                "licence": self.licence,
                "source": self.source,
                **files,
            }
        )


def get_family(name: str) -> Family:
    """Raises FamilyUnknown."""
    if name not in FAMILIES:
        raise FamilyUnknown(
            f"no family {name!r}; there are dit-, sit- and flowdcn-, each -s, -b, -l or -xl, -2 "
            "(dit and sit also -4, -8), and -256 or -512: sit-xl-2-256"
        )
    return FAMILIES[name]


def imagenet_classes() -> tuple[str, ...]:
    """The first name that WordNet has for each of the 1000 classes, in their order."""
    return tuple(IMAGENET_CLASSES.read_text("utf-8").splitlines())


def _dit(size: str, patch: int, resolution: int) -> Family:
    return Family(
        name=f"dit-{size}-{patch}-{resolution}",
        title=f"DiT-{size.upper()}/{patch}, ImageNet {resolution}x{resolution}",
        architecture=_transformer(size, patch, resolution),
        schedule="ddpm",
        prediction=Prediction.NOISE,
        guided_channels=3,
        default_guidance_scale=1.5,
        default_solver="dpmpp-2m",
        licence="CC BY-NC 4.0",
        source="github.com/facebookresearch/DiT",
    )


def _sit(size: str, patch: int, resolution: int) -> Family:
    return Family(
        name=f"sit-{size}-{patch}-{resolution}",
        title=f"SiT-{size.upper()}/{patch}, ImageNet {resolution}x{resolution}",
        architecture=_transformer(size, patch, resolution),
        schedule="rectified-flow",
        prediction=Prediction.VELOCITY,
        guided_channels=3,
        default_guidance_scale=1.5,
        default_solver="ab2",
        licence="MIT",
        source="github.com/willisma/SiT",
    )


def _flowdcn(size: str, patch: int, resolution: int) -> Family:
    sizes = SIZES[size]
    return Family(
        name=f"flowdcn-{size}-{patch}-{resolution}",
        title=f"FlowDCN-{size.upper()}/{patch}, ImageNet {resolution}x{resolution}",
        architecture=FlowDCNArchitecture(
            network="flowdcn",
            input_size=resolution // LATENT_SCALE,
            patch_size=patch,
            in_channels=LATENT_CHANNELS,
            hidden_size=sizes.hidden_size,
            depth=sizes.depth,
            num_groups=sizes.num_heads,
            num_classes=NUM_CLASSES,
            learn_sigma=True,
        ),
        schedule="rectified-flow",
        prediction=Prediction.VELOCITY,
        guided_channels=4,
        default_guidance_scale=1.375,
        default_solver="ab2",
        licence="none given with the weights; ask their authors",
        source="github.com/MCG-NJU/FlowDCN",
    )


def _transformer(size: str, patch: int, resolution: int) -> DiTArchitecture:
    sizes = SIZES[size]
    return DiTArchitecture(
        network="dit",
        input_size=resolution // LATENT_SCALE,
        patch_size=patch,
        in_channels=LATENT_CHANNELS,
        hidden_size=sizes.hidden_size,
        depth=sizes.depth,
        num_heads=sizes.num_heads,
        num_classes=NUM_CLASSES,
        learn_sigma=True,
    )


def _all() -> Mapping[str, Family]:
    families = [
        make(size, patch, resolution)
        for make, patches in ((_dit, (2, 4, 8)), (_sit, (2, 4, 8)), (_flowdcn, (2,)))
        for size in SIZES
        for patch in patches
        for resolution in RESOLUTIONS
    ]
    return {family.name: family for family in families}


FAMILIES = _all()
