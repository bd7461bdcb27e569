"""The critic that ships with a model: features to descend, other than those that measure."""

from diffusion_core.errors import ModelInvalid
from diffusion_core.model import LoadedModel, ModelFolder
from diffusion_core.networks.critic import NUM_FEATURES, GlyphCritic
from diffusion_core.quality import FeatureStatistics
from diffusion_core.tensors import load_tensors

from .search import Critic


def load_critic(folder: ModelFolder, model: LoadedModel) -> Critic | None:
    """None where the model's card names none. Raises ModelInvalid where its files are damaged."""
    card = folder.card
    if card.critic is None or card.critic_statistics is None:
        return None
    network = GlyphCritic(len(card.classes))
    path = folder.path / card.critic
    try:
        network.load_state_dict(load_tensors(path))
    except RuntimeError as error:  # torch's report of missing, unknown or misshapen tensors
        raise ModelInvalid(f"{path}: {error}") from error
    network.to(model.device).eval().requires_grad_(False)
    reference = FeatureStatistics.load(folder.path / card.critic_statistics)
    if len(reference.mean) != NUM_FEATURES:
        raise ModelInvalid(
            f"{card.critic_statistics} must describe {NUM_FEATURES} features, "
            f"got {len(reference.mean)}"
        )
    # Clipped, as a PNG clips them: what lies beyond white earns nothing.
    return Critic(
        features=lambda latents: network.features(model.decoder(latents).clamp(-1, 1)),
        reference=reference,
        classify=network.read,
    )
