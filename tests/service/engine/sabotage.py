"""A network that fails when it is told to."""

import torch


class Sabotaged(torch.nn.Module):
    """A network that raises at chosen forwards, or answers NaN for one class."""

    def __init__(self, network, error=None, at=(), max_rows=10**9, nan_class=None):
        super().__init__()
        self.network, self.error, self.at = network, error, set(at)
        self.max_rows, self.nan_class = max_rows, nan_class
        self.forwards = 0

    def forward(self, x, time, class_label):
        self.forwards += 1
        if self.forwards in self.at or x.shape[0] > self.max_rows:
            raise self.error
        out = self.network(x, time, class_label)
        if self.nan_class is not None:
            out = torch.where((class_label == self.nan_class).view(-1, 1, 1, 1), torch.nan, out)
        return out
