"""Why a search, or a part of it, has failed, in a sentence for whoever asked for it."""

from diffusion_core.errors import DiffusionError
from solver_store.errors import StoreError

from .errors import SearchError

OUR_ERRORS = (SearchError, DiffusionError, StoreError)  # say all there is to know


def reason_of(error: Exception) -> str:
    if isinstance(error, OUR_ERRORS):
        return str(error)
    from diffusion_core.memory import is_out_of_memory  # torch takes seconds to import

    if is_out_of_memory(error):
        return f"memory ran out: {error}".removesuffix(": ")
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
