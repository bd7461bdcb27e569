"""Our DiT against diffusers' transformer, made equal to the official network.

diffusers differs from the official DiT in two constants: its timestep frequencies are divided by
127 and not 128, and its norms use eps 1e-5. With both corrected it is an independent oracle.
"""

import pytest
import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor

from diffusion_core.networks.dit import DiT, DiTConfig

CONFIG = DiTConfig(
    input_size=8, patch_size=2, in_channels=4, hidden_size=32, depth=2, num_heads=2,
    num_classes=1000, learn_sigma=True,
)  # fmt: skip


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """A fresh DiT answers zero: every parameter must be moved."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if name != "pos_embed":
            parameter.data.normal_(std=0.2, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def dit() -> DiT:
    return randomised(DiT(CONFIG))


def diffusers_twin(dit: DiT, corrected: bool) -> DiTTransformer2DModel:
    twin = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2,
        sample_size=8, patch_size=2, num_embeds_ada_norm=1000, norm_eps=1e-6 if corrected else 1e-5,
    )  # fmt: skip
    missing, unexpected = twin.load_state_dict(diffusers_names(dit.state_dict()), strict=False)
    assert not unexpected
    assert set(missing) <= {"pos_embed.pos_embed"}
    if corrected:
        for block in twin.transformer_blocks:
            block.norm1.emb.time_proj.downscale_freq_shift = 0
    return twin.eval()


def diffusers_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Official parameter names -> diffusers' names; it repeats the embedders in every block."""
    named = {}
    for key in ("weight", "bias"):
        named[f"pos_embed.proj.{key}"] = weights[f"x_embedder.proj.{key}"]
        named[f"proj_out_1.{key}"] = weights[f"final_layer.adaLN_modulation.1.{key}"]
        named[f"proj_out_2.{key}"] = weights[f"final_layer.linear.{key}"]
    for d in range(CONFIG.depth):
        ours, theirs = f"blocks.{d}", f"transformer_blocks.{d}"
        table = weights["y_embedder.embedding_table.weight"]
        named[f"{theirs}.norm1.emb.class_embedder.embedding_table.weight"] = table
        for key in ("weight", "bias"):
            for ours_mlp, theirs_mlp in (("0", "1"), ("2", "2")):
                name = f"{theirs}.norm1.emb.timestep_embedder.linear_{theirs_mlp}.{key}"
                named[name] = weights[f"t_embedder.mlp.{ours_mlp}.{key}"]
            named[f"{theirs}.norm1.linear.{key}"] = weights[f"{ours}.adaLN_modulation.1.{key}"]
            q, k, v = weights[f"{ours}.attn.qkv.{key}"].chunk(3)
            named[f"{theirs}.attn1.to_q.{key}"] = q
            named[f"{theirs}.attn1.to_k.{key}"] = k
            named[f"{theirs}.attn1.to_v.{key}"] = v
            named[f"{theirs}.attn1.to_out.0.{key}"] = weights[f"{ours}.attn.proj.{key}"]
            named[f"{theirs}.ff.net.0.proj.{key}"] = weights[f"{ours}.mlp.fc1.{key}"]
            named[f"{theirs}.ff.net.2.{key}"] = weights[f"{ours}.mlp.fc2.{key}"]
    return named


@pytest.mark.parametrize("time", [999.0, 500.3, 10.0, 0.0])
def test_dit_equals_the_corrected_diffusers_network(dit: DiT, time: float) -> None:
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    times, labels = torch.full((3,), time), torch.tensor([0, 7, 1000])
    twin = diffusers_twin(dit, corrected=True)
    with torch.inference_mode():
        theirs = twin(x, timestep=times, class_labels=labels).sample[:, :4]
        torch.testing.assert_close(dit(x, times, labels), theirs, rtol=1e-5, atol=1e-5)


def test_stock_diffusers_is_no_oracle_at_large_times(dit: DiT) -> None:
    """Measured so that nobody takes it for one: the timestep frequencies differ.

    On this network it is off by 1 % at time 10, 10 % at 100, 77 % at 999, and equal at 0.
    """
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    times, labels = torch.full((3,), 999.0), torch.tensor([0, 7, 1000])
    stock = diffusers_twin(dit, corrected=False)
    with torch.inference_mode():
        ours = dit(x, times, labels)
        theirs = stock(x, timestep=times, class_labels=labels).sample[:, :4]
    assert (ours - theirs).norm() / ours.norm() > 0.5


def test_a_fresh_network_answers_zero() -> None:
    x = torch.randn(2, 4, 8, 8)
    assert DiT(CONFIG)(x, torch.tensor([0.5, 0.1]), torch.tensor([1, 2])).abs().max() == 0


def test_rows_do_not_mix(dit: DiT) -> None:
    x = torch.randn(4, 4, 8, 8)
    times, labels = torch.tensor([0.0, 1.0, 500.0, 999.0]), torch.tensor([3, 1, 4, 1000])
    with torch.inference_mode():
        together = dit(x, times, labels)
        for row in range(4):
            alone = dit(x[row : row + 1], times[row : row + 1], labels[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_bfloat16_weights_keep_the_time_in_float32(dit: DiT) -> None:
    """782.6 and 784 are the same number in bfloat16, but not the same time."""
    half = DiT(CONFIG)
    half.load_state_dict(dit.state_dict())
    half = half.to(torch.bfloat16).eval()
    x, label = torch.randn(1, 4, 8, 8), torch.tensor([5])
    with torch.inference_mode():
        first = half(x, torch.tensor([782.6]), label)
        second = half(x, torch.tensor([784.0]), label)
    assert not torch.equal(first, second)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size 30"):
        DiT(DiTConfig(8, 2, 4, 30, 1, 4, 10))
