"""From a checkpoint to a model that answers like the network it came from."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError

from diffusion_core.conversion import Addition, add_model, remove_model
from diffusion_core.errors import ModelExists, ModelInvalid, ModelNotFound
from diffusion_core.model import load_model
from tests.diffusion_core.conversion.small import SMALL_DIT, small, small_diffusers, trained

CPU = torch.device("cpu")


def answer(network: torch.nn.Module) -> torch.Tensor:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return network(x, torch.tensor([0.3, 0.9]), torch.tensor([7, 1000]))


def assert_same_answer(loaded: torch.nn.Module, network: torch.nn.Module) -> None:
    """Within rounding: a loaded network multiplies by other means."""
    torch.testing.assert_close(answer(loaded), answer(network), rtol=1e-4, atol=1e-5)


@pytest.fixture
def models(tmp_path):
    return tmp_path / "home" / "models"


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """An autoencoder of the published kind in small: 4 latent channels, twice the size."""
    folder = tmp_path_factory.mktemp("vae")
    AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def layouts(network: torch.nn.Module) -> dict[str, object]:
    weights = network.state_dict()
    return {
        "flat": weights,
        "ema": {"model": {}, "ema": weights},
        "positional": {"optimizer_states": [{"ema": list(network.parameters())}]},
    }


@pytest.mark.parametrize("layout", ["flat", "ema", "positional"])
@pytest.mark.parametrize("family", ["dit-xl-2-256", "sit-xl-2-256", "flowdcn-xl-2-256"])
def test_a_converted_model_answers_as_the_network_did(models, tmp_path, family, layout) -> None:
    network = trained(small(family).architecture)
    torch.save(layouts(network)[layout], tmp_path / "file.pt")
    folder = add_model(models, Addition(small(family), tmp_path / "file.pt", "mine"))
    model = load_model(folder, CPU)
    assert_same_answer(model.network, network)
    assert model.digest == folder.card.weights_sha256


@pytest.mark.parametrize("learn_sigma", [True, False], ids=["8 channels", "4 channels"])
def test_the_output_has_as_many_channels_as_the_checkpoint(models, tmp_path, learn_sigma) -> None:
    """SiT's published 256 file has 8, what its trainer writes without that option 4."""
    network = trained(SMALL_DIT.model_copy(update={"learn_sigma": learn_sigma}))
    torch.save(network.state_dict(), tmp_path / "file.pt")
    folder = add_model(models, Addition(small("sit-xl-2-256"), tmp_path / "file.pt", "mine"))
    assert folder.card.architecture.learn_sigma is learn_sigma
    assert_same_answer(load_model(folder, CPU).network, network)


def test_tensors_that_a_checkpoint_shares_are_added_each_for_itself(models, tmp_path) -> None:
    network = trained(SMALL_DIT)
    first, second = network.blocks
    second.mlp.fc1.bias = first.mlp.fc1.bias
    torch.save(network.state_dict(), tmp_path / "file.pt")
    folder = add_model(models, Addition(small("sit-xl-2-256"), tmp_path / "file.pt", "mine"))
    assert_same_answer(load_model(folder, CPU).network, network)


def test_a_folder_of_diffusers_becomes_the_official_network(models, tmp_path, vae) -> None:
    """diffusers' own forward is the oracle, with the two constants that make it official."""
    theirs = small_diffusers()
    first = theirs.transformer_blocks[0].norm1.emb.state_dict()
    for block in theirs.transformer_blocks:  # one embedder, repeated, as in published files
        block.norm1.emb.load_state_dict(first)
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    theirs.save_pretrained(tmp_path / "diffusers" / "transformer")
    AutoencoderKL.from_pretrained(vae).save_pretrained(tmp_path / "diffusers" / "vae")
    folder = add_model(models, Addition(small("dit-xl-2-256"), tmp_path / "diffusers", "mine"))
    assert folder.card.decoder == "vae"
    x, times, labels = torch.randn(3, 4, 8, 8), torch.tensor([0.0, 500.3, 999.0]), [1, 2, 1000]
    with torch.inference_mode():
        ours = load_model(folder, CPU).network(x, times, torch.tensor(labels))
        wanted = theirs(x, timestep=times, class_labels=torch.tensor(labels)).sample[:, :4]
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)


def test_the_autoencoder_comes_along(models, tmp_path, vae) -> None:
    torch.save(trained(SMALL_DIT).state_dict(), tmp_path / "file.pt")
    addition = Addition(small("sit-xl-2-256"), tmp_path / "file.pt", "mine", vae)
    folder = add_model(models, addition)
    model = load_model(folder, CPU)
    latents = torch.randn(3, 4, 8, 8)
    oracle = AutoencoderKL.from_pretrained(vae).eval()
    with torch.inference_mode():
        wanted = oracle.decode(latents / oracle.config.scaling_factor).sample
    torch.testing.assert_close(model.decoder(latents), wanted, rtol=1e-4, atol=1e-5)
    # Drawing takes the decoding half of an autoencoder alone.
    decoding = (oracle.decoder, oracle.post_quant_conv)
    needed = sum(4 * p.numel() for part in decoding for p in part.parameters())
    needed += sum(4 * tensor.numel() for tensor in model.network.state_dict().values())
    assert model.num_bytes == folder.num_bytes(torch.float32) == needed


def test_whoever_may_read_the_card_may_read_all_of_a_model(models, tmp_path, vae) -> None:
    torch.save(trained(SMALL_DIT).state_dict(), tmp_path / "file.pt")
    addition = Addition(small("sit-xl-2-256"), tmp_path / "file.pt", "mine", vae)
    files = [file for file in add_model(models, addition).path.rglob("*") if file.is_file()]
    assert len(files) == 4  # the card, the weights, the autoencoder's, its configuration
    assert len({file.stat().st_mode for file in files}) == 1


def test_an_autoencoder_is_a_folder_and_no_name_to_download(models, tmp_path) -> None:
    name = Path("stabilityai/sd-vae-ft-ema")
    with pytest.raises(ModelInvalid, match=f"{name}: no such folder; nothing is downloaded"):
        add_model(models, Addition(small("sit-xl-2-256"), tmp_path / "file.pt", "mine", name))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            lambda w: w.update(other=w.pop("blocks.0.mlp.fc1.bias")),
            r"1 tensors missing, .*fc1\.bias; 1 unknown, the first is other",
        ),
        (lambda w: w.pop("blocks.1.mlp.fc2.bias"), r"missing, the first is blocks\.1\.mlp\.fc2"),
        (lambda w: w.update(extra=torch.ones(1)), "unknown, the first is extra"),
        (lambda w: w.update(pos_embed=torch.ones(1, 4, 16)), r"pos_embed has shape \(1, 4, 16\)"),
        (lambda w: w["t_embedder.mlp.0.bias"].fill_(torch.nan), r"mlp\.0\.bias holds values"),
        (
            lambda w: w.update({"final_layer.linear.weight": torch.tensor(1.0)}),
            r"final_layer\.linear\.weight has shape \(\)",
        ),
        (
            lambda w: w.update(pos_embed=w["pos_embed"].long()),
            r"pos_embed holds torch\.int64, not floating-point",
        ),
        (
            lambda w: w.update(pos_embed=w["pos_embed"].to(torch.complex64)),
            r"pos_embed holds torch\.complex64, not floating-point",
        ),
        (
            lambda w: w.update(pos_embed=w["pos_embed"].byte().view(torch.float4_e2m1fn_x2)),
            r"pos_embed holds torch\.float4_e2m1fn_x2, not floating-point",
        ),
        (lambda w: w.update(pos_embed=w["pos_embed"].to_sparse()), "'pos_embed' is sparse"),
        (lambda w: w.update(pos_embed=w["pos_embed"].to("meta")), "'pos_embed' is without numbers"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(models, tmp_path, edit, reason) -> None:
    weights = trained(SMALL_DIT).state_dict()
    edit(weights)
    torch.save(weights, tmp_path / "file.pt")
    with pytest.raises(ModelInvalid, match=reason):
        add_model(models, Addition(small("dit-xl-2-256"), tmp_path / "file.pt", "mine"))
    assert not models.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_up_leaves_nothing(models, tmp_path, monkeypatch, error) -> None:
    torch.save(trained(SMALL_DIT).state_dict(), tmp_path / "file.pt")

    def full(weights, path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("diffusion_core.conversion.adding.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        add_model(models, Addition(small("dit-xl-2-256"), tmp_path / "file.pt", "mine"))
    assert [path for path in models.parent.rglob("*") if path.is_file()] == []


def test_a_name_that_is_taken_is_refused(models, tmp_path) -> None:
    torch.save(trained(SMALL_DIT).state_dict(), tmp_path / "file.pt")
    addition = Addition(small("dit-xl-2-256"), tmp_path / "file.pt", "mine")
    add_model(models, addition)
    with pytest.raises(ModelExists, match="mine"):
        add_model(models, addition)


@pytest.mark.parametrize("name", ["My Model", "", "../mine", "mine\n", "-mine", "m" * 65])
def test_a_name_that_no_card_can_have_is_refused_before_anything_is_read(
    models, tmp_path, name
) -> None:
    addition = Addition(small("dit-xl-2-256"), tmp_path / "there is no such file.pt", name)
    stages: list[str] = []
    with pytest.raises(ModelInvalid, match="name must have 1 to 64 small letters"):
        add_model(models, addition, stages.append)
    assert stages == []
    assert not models.exists()


def test_the_name_of_a_bundled_model_is_refused(models, tmp_path) -> None:
    addition = Addition(small("sit-xl-2-256"), tmp_path / "none.pt", "glyphs")
    with pytest.raises(ModelExists, match="glyphs"):
        add_model(models, addition)


def test_a_name_that_is_just_being_added_is_refused_and_the_other_goes_on(models, tmp_path) -> None:
    torch.save(trained(small("sit-xl-2-256").architecture).state_dict(), tmp_path / "file.pt")
    addition = Addition(small("sit-xl-2-256"), tmp_path / "file.pt", "mine")

    def meanwhile(stage: str) -> None:
        if stage == "noting the digest":
            with pytest.raises(ModelExists, match="being added"):
                add_model(models, addition)

    folder = add_model(models, addition, meanwhile)
    assert load_model(folder, CPU).digest == folder.card.weights_sha256


def test_what_a_killed_process_left_is_cleared(models, tmp_path) -> None:
    torch.save(trained(small("sit-xl-2-256").architecture).state_dict(), tmp_path / "file.pt")
    left = models.parent / "unfinished" / "mine" / "vae"
    left.mkdir(parents=True)
    (left / "half").write_text("")
    folder = add_model(models, Addition(small("sit-xl-2-256"), tmp_path / "file.pt", "mine"))
    assert not (folder.path / "vae").exists()
    assert list((models.parent / "unfinished").iterdir()) == []


def test_a_wrong_autoencoder_is_refused_before_the_checkpoint_is_read(models, tmp_path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    addition = Addition(small("sit-xl-2-256"), tmp_path / "none.pt", "mine", nowhere)
    with pytest.raises(ModelInvalid, match=r"nowhere: no config\.json"):
        add_model(models, addition)


def test_a_model_is_removed_whole(models, tmp_path) -> None:
    torch.save(trained(SMALL_DIT).state_dict(), tmp_path / "file.pt")
    folder = add_model(models, Addition(small("dit-xl-2-256"), tmp_path / "file.pt", "mine"))
    remove_model(models, "mine")
    assert not folder.path.exists()
    with pytest.raises(ModelNotFound, match="mine"):
        remove_model(models, "mine")


def test_weights_that_changed_since_they_were_added_are_refused(models, tmp_path) -> None:
    torch.save(trained(SMALL_DIT).state_dict(), tmp_path / "file.pt")
    folder = add_model(models, Addition(small("dit-xl-2-256"), tmp_path / "file.pt", "mine"))
    weights = folder.path / folder.card.weights
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(ModelInvalid, match="damaged: its sha256"):
        load_model(folder, CPU)


def test_the_card_says_what_the_checkpoint_does_not(models, tmp_path) -> None:
    torch.save(trained(SMALL_DIT).state_dict(), tmp_path / "file.pt")
    folder = add_model(models, Addition(small("dit-xl-2-256"), tmp_path / "file.pt", "mine"))
    card = json.loads((folder.path / "card.json").read_text())
    assert (card["schedule"], card["prediction"], card["guided_channels"]) == ("ddpm", "noise", 3)
    assert (card["classes"][207], card["null_class"]) == ("golden retriever", 1000)
    assert card["decoder"] == "sd-linear"
