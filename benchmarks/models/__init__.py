"""`./run bench models`: what the paper claims, on the three bundled models; and the largest one."""

from .command import main

__all__ = ["main"]
