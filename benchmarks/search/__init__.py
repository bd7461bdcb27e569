"""`./run bench search`: searched solvers against each other and all others."""

from .command import main

__all__ = ["main"]
