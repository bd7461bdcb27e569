"""The FID proxy: what it costs, and whether it ranks solvers as the offline distance does."""

from .command import main

__all__ = ["main"]
