"""What went wrong with an image, in words for the client."""

import logging
from collections.abc import Callable
from typing import TypeVar

from diffusion_core.memory import forget_allocations, is_out_of_memory

from ..errors import EngineFault, ImageFailed, OutOfMemory, ServiceError
from .requests import ImageRequest

logger = logging.getLogger(__name__)

T = TypeVar("T")


def attempted(what: str, work: Callable[[], T]) -> T | ServiceError:
    """What the work returns, or what the client is told where it fails.

    Nothing that it raises goes on: it must not end the thread that serves all others. Where memory
    ran out, what the work had taken is free again when this returns.
    """
    try:
        return work()
    except Exception as error:  # whatever it is, the thread goes on
        failure = public(error)
        if isinstance(failure, OutOfMemory):
            logger.error("memory ran out: %s", what)
        else:
            logger.exception("%s failed", what)
    # Only here is the error gone, whose frames hold the activations.
    if isinstance(failure, OutOfMemory):
        forget_allocations()
    return failure


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
