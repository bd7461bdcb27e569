"""Decoders: slices change nothing, the linear estimate is linear."""

import pytest
import torch
from diffusers import AutoencoderKL

from diffusion_core.decoder import LinearDecoder, VAEDecoder, load_decoder, load_vae, to_uint8
from diffusion_core.errors import ModelInvalid

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).eval()  # fmt: skip


def test_decoding_in_slices_equals_decoding_at_once(vae) -> None:
    latents = torch.randn(5, 4, 8, 8)
    with torch.inference_mode():
        at_once = vae.decode(latents / vae.config.scaling_factor).sample
        in_slices = VAEDecoder(vae, CPU)(latents)
    torch.testing.assert_close(in_slices, at_once, rtol=1e-4, atol=1e-5)


def test_channels_last_and_bfloat16_stay_near(vae, tmp_path) -> None:
    vae.save_pretrained(tmp_path)
    latents = torch.randn(2, 4, 8, 8)
    exact = load_decoder("vae", tmp_path, CPU, torch.float32)(latents)
    short = load_decoder("vae", tmp_path, CPU, torch.bfloat16)(latents)
    assert short.dtype == torch.float32
    assert (to_uint8(exact).int() - to_uint8(short).int()).abs().max() <= 4


def test_the_linear_estimate_maps_each_latent_pixel_by_itself() -> None:
    latents = torch.zeros(1, 4, 2, 2)
    latents[0, 1, 0, 1] = 2.0
    rgb = LinearDecoder()(latents)
    assert rgb.shape == (1, 3, 2, 2)
    assert rgb[0, :, 0, 1].tolist() == pytest.approx([0.374, 0.572, 0.346])
    assert rgb[0, :, 1, :].abs().max() == 0


def test_a_preview_of_latents_costs_no_decoding(vae) -> None:
    latents = torch.randn(2, 4, 8, 8)
    assert torch.equal(VAEDecoder(vae, CPU).preview(latents), LinearDecoder()(latents))


def test_a_folder_that_holds_no_autoencoder_is_refused(tmp_path) -> None:
    with pytest.raises(ModelInvalid, match=r"no config\.json"):
        load_vae(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelInvalid, match=str(tmp_path)):
        load_vae(tmp_path)
