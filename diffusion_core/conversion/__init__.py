"""A published checkpoint becomes a model of ours.

file or folder -> weights by their official names -> safetensors beside a card

checkpoint.py   torch files in the layouts that the papers' codes write, and safetensors
diffusers.py    folders of diffusers
adding.py       a model's folder in the data folder: added whole, or not at all
"""

from .adding import Addition, add_model, remove_model

__all__ = ["Addition", "add_model", "remove_model"]
