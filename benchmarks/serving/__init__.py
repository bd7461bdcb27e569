"""`./run bench serving`: the figures of the server."""

from .command import main

__all__ = ["main"]
