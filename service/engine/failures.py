"""What went wrong with an image, in words for the client."""

from diffusion_core.memory import is_out_of_memory

from ..errors import EngineFault, ImageFailed, OutOfMemory, ServiceError
from .requests import ImageRequest


def public(error: Exception) -> ServiceError:
    """What the client is told."""
    if is_out_of_memory(error):
        return OutOfMemory("the device ran out of memory; try again later")
    return EngineFault("the engine failed at this image")


def diverged(image: ImageRequest) -> ImageFailed:
    """Its values are no longer finite."""
    return ImageFailed(
        "the values of this image are no longer finite: the sampling diverges with this solver "
        f"({image.program.steps} steps, guidance scale {image.guidance_scale:g}, seed {image.seed})"
    )
