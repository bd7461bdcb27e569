"""`./run bench models`: what the paper claims, on the bundled models; and the published sizes."""

from .command import main

__all__ = ["main"]
