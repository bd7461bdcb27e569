"""For every test: one torch thread. Tiny tensors gain nothing from more, and results repeat."""

import torch

torch.set_num_threads(1)
