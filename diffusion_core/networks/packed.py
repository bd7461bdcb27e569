"""Linear layers for the CPU: frozen weights, laid out once as oneDNN multiplies them.

torch's own linear layer reads weights that lie as they were saved, and asks MKL for float32, which
on AMD's processors is no quicker than AVX2 allows. On two cores of an EPYC with AVX-512, 1024
tokens ran at 210 GFLOP/s there and at 490 here (bfloat16: 880 and 950); with AVX2 alone at 216 and
250.
An activation that follows is done on the way, where it costs next to nothing.

The operators are those that torch's compiler emits; they know no gradient, so that one is ours.
"""

import platform
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .layers import ACTIVATIONS, ActivatedLinear

X86_64 = ("x86_64", "AMD64")  # elsewhere nobody has measured
OPERATORS = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
# What an activation is called there, and its variant.
FUSED = {None: ("none", ""), "gelu": ("gelu", "tanh"), "silu": ("swish", "")}


def pack_linear_layers(network: nn.Module, dtype: torch.dtype) -> None:
    """Replace every linear layer of a frozen network, where `can_pack` the type.

    dtype  that they are to compute in; nothing else of the network is touched

    The network computes the same to within rounding, and goes on to pass gradients to its inputs.
    It cannot be copied or moved to another device or type afterwards.
    """
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.Linear):
                # One after the other, from memory that may be a mapped file.
                setattr(module, name, PackedLinear(layer, dtype))


def transposed_bytes(network: nn.Module) -> int:
    """What the first backward pass through a network will take, and keep, beside its weights."""
    return sum(
        module.weight.numel() * module.weight.element_size()
        for module in network.modules()
        if isinstance(module, PackedLinear) and "transposed" not in vars(module)
    )


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether there are operators for such numbers there."""
    if device.type != "cpu" or platform.machine() not in X86_64:
        return False
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's is untyped
        return False
    if not all(hasattr(torch.ops.mkldnn, operator) for operator in OPERATORS):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class PackedLinear(nn.Module):
    """Computes what a linear layer does, with or without an activation, and holds its weights."""

    weight: Tensor  # in oneDNN's layout: torch tells its shape and type, and nothing of its memory
    bias: nn.Parameter | None

    def __init__(self, layer: nn.Linear, dtype: torch.dtype):
        super().__init__()
        self.activation = layer.activation if isinstance(layer, ActivatedLinear) else None
        self.register_buffer("weight", _packed(layer.weight.detach().to(dtype)))
        self.bias = None
        if layer.bias is not None:
            self.bias = nn.Parameter(layer.bias.to(dtype), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if not (torch.is_grad_enabled() and x.requires_grad):
            return _product(x, self.weight, self.bias, *FUSED[self.activation])
        # The activation's gradient needs what is between the two.
        product: Tensor = _FrozenProduct.apply(x, self)  # type: ignore[no-untyped-call]  # torch's is untyped
        return product if self.activation is None else ACTIVATIONS[self.activation](product)

    @cached_property
    def transposed(self) -> Tensor:
        """Of the weights; only who asks for gradients takes so much memory again."""
        return _packed(self.weight.to_dense().T.contiguous())


class _FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return _product(x, layer.weight, layer.bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_grad: Tensor) -> tuple[Tensor, None]:
        return _product(out_grad.contiguous(), ctx.layer.transposed, None), None


def _packed(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return packed


def _product(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none", variant: str = ""
) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], variant)
    return product
