"""A pipeline behind a static-batching server: LitServe collects, the whole batch runs, all answer.

The way most image servers work: requests of one step count run together from noise to picture,
and nobody is answered before the last of the batch is done.
"""

import base64
from collections.abc import Sequence
from typing import Any

import litserve

from diffusion_core.host import keep_freed_memory

from .offline import OfflineSampler
from .servers import bundled_model
from .work import Item, Kind, by_kind


class StaticPipeline(litserve.LitAPI):  # type: ignore[misc]  # litserve is not typed
    """`predict` takes whatever LitServe has collected."""

    def setup(self, device: str) -> None:
        keep_freed_memory()  # as our server does
        self._sampler = OfflineSampler(bundled_model())

    def decode_request(self, request: dict[str, Any]) -> Item:
        kind = Kind(request["steps"], request["guidance_scale"], request["solver"])
        return Item(kind, request["class_id"], request["seed"])

    def batch(self, inputs: Sequence[Item]) -> Sequence[Item]:
        return inputs

    def predict(self, items: Item | Sequence[Item]) -> bytes | list[bytes]:
        if isinstance(items, Item):  # LitServe does not batch at batch size 1
            return self._sampler.pictures(items.kind, [items])[0]
        pictures: dict[Item, bytes] = {}
        for kind, group in by_kind(items).items():
            pictures |= zip(group, self._sampler.pictures(kind, group), strict=True)
        return [pictures[item] for item in items]

    def encode_response(self, picture: bytes) -> dict[str, str]:
        return {"format": "png", "base64": base64.b64encode(picture).decode()}
