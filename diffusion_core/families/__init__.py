"""The published models: what their checkpoints leave unsaid.

A checkpoint holds numbers alone. Its family says how large the network is, on which schedule it
was trained, what it predicts, how it is guided, what its classes are called and whose it is.
"""

from .catalogue import FAMILIES, Family, get_family

__all__ = ["FAMILIES", "Family", "get_family"]
