"""Networks and decoders that fail when they are told to, or when memory runs out."""

import torch

from diffusion_core.decoder import PixelDecoder


class Room:
    """The memory of a device, in units: what takes some has it for as long as it is referred to."""

    def __init__(self, units: int):
        self.free = units

    def take(self, units: int) -> "Taken":
        if units > self.free:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Taken(self, units)

    def take_each(self, count: int, units: int) -> list["Taken"]:
        taken = []  # a local and no comprehension: where there is no room, a frame holds it
        for _ in range(count):
            taken.append(self.take(units))
        return taken


class Taken:
    def __init__(self, room: Room, units: int):
        self._room, self._units = room, units
        room.free -= units

    def __del__(self) -> None:
        self._room.free += self._units


class HungryNetwork(torch.nn.Module):
    """Every network row takes a unit until the forward ends, or until its frame is gone."""

    def __init__(self, network: torch.nn.Module, room: Room):
        super().__init__()
        self.network, self.room = network, room
        self.rows: list[int] = []  # of each forward

    def forward(self, x, time, class_label):
        self.rows.append(len(x))
        activations = self.room.take_each(len(x), 1)
        out = self.network(x, time, class_label)
        del activations
        return out


class HungryDecoder(PixelDecoder):
    """The same with two units for each image."""

    def __init__(self, room: Room):
        self.room = room
        self.sizes: list[int] = []  # of each call

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(latents))
        activations = self.room.take_each(len(latents), 2)
        del activations
        return latents


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
