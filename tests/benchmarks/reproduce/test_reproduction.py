"""`./run bench reproduce` from checkpoint to figures, on stand-ins for the published files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import environment
from benchmarks.reproduce import main
from benchmarks.reproduce.filling import Tell
from benchmarks.reproduce.models import AddedModel, GivenCheckpoint, ModelSource
from benchmarks.reproduce.reproduction import Order, Run
from benchmarks.reproduce.rows import NUM_SAMPLES, ROWS
from benchmarks.reproduce.sampling import Sampler
from diffusion_core.adm import InceptionQuality
from diffusion_core.conversion import Addition, add_model
from diffusion_core.decoder import to_uint8
from diffusion_core.model import find_models, load_model
from diffusion_core.networks.inception import InceptionV3
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, sample_table
from solver_store.published import published_tables
from tests.benchmarks.reproduce.conftest import checkpoint_of
from tests.diffusion_core.conversion.small import small
from tests.fakes import write_tiny_model

CPU = torch.device("cpu")
FEW = ["--samples", "7", "--piece", "3", "--batch-size", "2", "--device", "cpu"]


def images_in(out: Path) -> np.ndarray:
    with np.load(out / "samples.npz", allow_pickle=False) as arrays:
        return arrays["arr_0"]


@pytest.fixture
def tiny(tmp_path: Path) -> list[str]:
    """A model that draws 8x8 pixels, as it is asked for."""
    write_tiny_model(tmp_path / "home" / "models")
    return ["--row", "sit-xl-2", "--model", "tiny", "--home", str(tmp_path / "home"), *FEW]


@pytest.mark.usefixtures("small_families")
@pytest.mark.parametrize("row", ["sit-xl-2", "flowdcn-xl-2", "dit-xl-2"])
def test_every_row_runs_from_checkpoint_to_archive(row: str, tmp_path: Path, vae: Path) -> None:
    checkpoint = checkpoint_of(f"{row}-256", tmp_path)
    out = tmp_path / "out"
    given = ["--row", row, "--checkpoint", str(checkpoint), "--vae", str(vae), "--out", str(out)]
    assert main([*given, *FEW, "--steps", "5"]) == 0
    images = images_in(out)
    assert images.shape == (7, 16, 16, 3)
    assert len({image.tobytes() for image in images}) == 7
    before = images_in(out)
    assert main([*given, *FEW, "--steps", "5"]) == 0, "the conversion is found again"
    assert np.array_equal(images_in(out), before)


@pytest.mark.usefixtures("small_families")
def test_images_are_those_of_their_seeds_alone(tmp_path: Path, vae: Path) -> None:
    """Guidance 1.375 on all four channels, although SiT's own default is three."""
    out = tmp_path / "out"
    checkpoint = checkpoint_of("sit-xl-2-256", tmp_path)
    given = ["--checkpoint", str(checkpoint), "--vae", str(vae), "--out", str(out), *FEW]
    assert main(["--row", "sit-xl-2", *given, "--seed", "40"]) == 0
    [folder] = find_models(out / "models").values()
    model = load_model(folder, CPU)
    [table] = [entry.table for entry in published_tables() if entry.name == "flowdcn-b-256-10"]
    for number in (0, 5, 6):
        noise = initial_noise(40 + number, model.card.latent_shape)[None]
        guidance = Guidance.of_all(1.375, 1, null_class=1000, channels=4)
        label = torch.tensor([number])
        with torch.inference_mode():
            latents = sample_table(model.network, table, model.card.kind, noise, label, guidance)
            expected = to_uint8(model.decoder(latents))[0].numpy()
        difference = np.abs(images_in(out)[number].astype(int) - expected.astype(int))
        assert difference.max() <= 1


def test_a_killed_run_goes_on_and_ends_in_the_same_images(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main([*tiny, "--out", str(whole)]) == 0
    made, make = [], Sampler.make

    def killed_in_the_second(self: Sampler, span: range, tell: Tell) -> dict[str, torch.Tensor]:
        if made:
            raise KeyboardInterrupt
        made.append(span)
        return make(self, span, tell)

    with monkeypatch.context() as patched:
        patched.setattr(Sampler, "make", killed_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            main([*tiny, "--out", str(killed)])
    kept = killed / "images" / "000000.safetensors"
    written = kept.stat().st_mtime_ns
    assert main([*tiny, "--out", str(killed)]) == 0
    assert kept.stat().st_mtime_ns == written, "what was made is not made again"
    assert np.array_equal(images_in(killed), images_in(whole))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (["--seed", "1"], "seed is 0 there, 1 here"),
        (["--guidance", "2"], "guidance_scale is 1.375 there, 2.0 here"),
        (["--steps", "5"], "table is"),
        (["--solver", "ab2"], "table is"),
        (["--labels", "uniform"], 'labels is "balanced" there, "uniform" here'),
        (["--dtype", "bfloat16"], "dtype is"),
        (["--batch-size", "3"], "batch_size is 2 there, 3 here"),
    ],
)
def test_a_folder_holds_one_run(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], other, words: str
) -> None:
    given = [*tiny, "--out", str(tmp_path / "out")]
    assert main(given) == 0
    assert main([*given, *other]) == 1
    assert words in capsys.readouterr().err


def test_another_model_of_the_same_name_is_another_run(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*tiny, "--out", str(tmp_path / "out")]
    assert main(given) == 0
    weights = tmp_path / "home" / "models" / "tiny" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert main(given) == 1
    assert "from another run: model is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--row", "dit-xl-2"], "schedule vp cannot drive a model of schedule rectified-flow"),
        (["--solver", "nix"], "no published table, no classical solver and no file"),
        (["--solver", "flowdcn-b-256-5"], "takes 5 steps, not 10"),
        (["--model", "nobody"], "'nobody' is no folder with a card"),
        (["--inception", "nix", "--reference", "nix"], "nix: No such file"),
        (["--device", "cuda:99"], "asks for a GPU"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], change, words: str
) -> None:
    assert main([*tiny, "--out", str(tmp_path / "out"), *change]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_checkpoint_and_autoencoder_are_named(
    tmp_path: Path, vae: Path, capsys: pytest.CaptureFixture[str], small_families: None
) -> None:
    given = ["--row", "sit-xl-2", "--out", str(tmp_path / "out"), *FEW]
    assert main([*given, "--checkpoint", str(tmp_path / "nix.pt"), "--vae", str(vae)]) == 1
    assert f"no such file: {tmp_path / 'nix.pt'}" in capsys.readouterr().err
    checkpoint = checkpoint_of("sit-xl-2-256", tmp_path)
    assert main([*given, "--checkpoint", str(checkpoint)]) == 1
    assert "has no autoencoder" in capsys.readouterr().err


def test_an_image_that_is_not_finite_ends_the_run(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*tiny, "--out", str(tmp_path), "--guidance", "1e38"]) == 1
    assert "the image of seed 0 is not finite" in capsys.readouterr().err


@pytest.mark.usefixtures("small_families")
def test_only_the_network_of_its_row_is_held_against_its_figure(
    tiny: list[str], tmp_path: Path, vae: Path
) -> None:
    home = tmp_path / "home"
    checkpoint = checkpoint_of("sit-xl-2-256", tmp_path)
    given = GivenCheckpoint(small("sit-xl-2-256"), checkpoint, vae)
    add_model(home / "models", Addition(given.family, checkpoint, "added", vae))
    assert Run.of(whole("sit-xl-2", given, tmp_path)).is_as_published
    added = AddedModel("added", home)
    assert Run.of(whole("sit-xl-2", added, tmp_path)).is_as_published
    assert not Run.of(whole("flowdcn-xl-2", added, tmp_path)).is_as_published
    assert not Run.of(whole("sit-xl-2", AddedModel("tiny", home), tmp_path)).is_as_published


def whole(name: str, source: ModelSource, out: Path) -> Order:
    """All that a row asks for at ten steps."""
    row = ROWS[name]
    return Order(
        row=row, steps=10, source=source, solver=row.solver(10), samples=NUM_SAMPLES,
        guidance_scale=row.guidance_scale, guided_channels=row.guided_channels,
        labels=row.labels, seed=0, dtype="float32", batch_size=2, piece=3, out=out, measure=None,
    )  # fmt: skip


@pytest.mark.slow
def test_figures_are_measured_kept_and_found_again(
    tiny: list[str],
    tmp_path: Path,
    inception: Path,
    reference: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    given = [*tiny, "--inception", str(inception), "--reference", str(reference)]
    assert main([*given, "--out", str(out)]) == 0
    text = (out / "reproduce-sit-xl-2-10.json").read_text("utf-8")
    result = json.loads(text)
    names = ["fid", "sfid", "inception_score", "precision", "recall"]
    assert list(result["figures"]) == names
    assert result["figures"] == pytest.approx(by_hand(images_in(out), inception, reference), 1e-4)
    assert result["parameters"]["published_fid"] == 2.4
    assert result["targets"] == [], "seven images of another model have nothing to reach"
    assert {"model", "table", "inception", "reference", "seed"} <= result["parameters"].keys()
    assert result["machine"]["cores"] >= 1
    assert str(tmp_path) not in text
    assert str(environment.ROOT) not in text
    measuring = "benchmarks.reproduce.measuring"
    monkeypatch.setattr(f"{measuring}.read_pictures", None)  # not asked again
    found = InceptionQuality(1.0, 2.0, 3.0, 0.4, 0.5)
    monkeypatch.setattr(f"{measuring}.inception_quality", lambda *features: found)
    assert main([*given, "--out", str(out)]) == 0


@pytest.mark.slow
def test_two_processes_finish_what_one_began_as_it_would_have(
    tiny: list[str], tmp_path: Path
) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert main([*tiny, "--samples", "3", "--out", str(together)]) == 0
    begun = together / "images" / "000000.safetensors"
    written = begun.stat().st_mtime_ns
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [sys.executable, *launcher, "-m", "benchmarks", "reproduce", *tiny, "--out", str(together)],
        cwd=environment.ROOT, env=os.environ | {"PYTHONPATH": str(environment.ROOT)},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("samples.npz") == 1
    assert begun.stat().st_mtime_ns == written, "what was made is not made again"
    assert main([*tiny, "--out", str(alone)]) == 0
    assert (together / "samples.npz").read_bytes() == (alone / "samples.npz").read_bytes()


def by_hand(images: np.ndarray, inception: Path, reference: Path) -> dict[str, float]:
    """The five figures of an archive, where the reference's covariances are the identity."""
    network = InceptionV3().eval()
    network.load_state_dict(torch.load(inception, weights_only=True))
    with np.load(reference) as arrays, torch.inference_mode():
        samples, real = (
            network(torch.from_numpy(pictures).permute(0, 3, 1, 2))
            for pictures in (images, arrays["arr_0"])
        )
        pool, spatial, seen = (part.double().numpy() for part in (*samples, real.pool))
        p = pool @ network.fc.weight.double().numpy().T
        fid, sfid = to_white(pool, arrays["mu"]), to_white(spatial, arrays["mu_s"])
    p = np.exp(p) / np.exp(p).sum(1, keepdims=True)
    score = np.exp((p * np.log(p / p.mean(0))).sum(1).mean())
    return {
        "fid": fid, "sfid": sfid, "inception_score": float(score),
        "precision": covered(seen, pool), "recall": covered(pool, seen),
    }  # fmt: skip


def to_white(features: np.ndarray, mean: np.ndarray) -> float:
    """|m - mean|^2 + tr(C + 1 - 2 sqrt(C)); the roots of C are its rows' singular values."""
    centred = features - features.mean(0)
    roots = np.linalg.svd(centred, compute_uv=False) / np.sqrt(len(features) - 1)
    shift = features.mean(0) - mean
    return float(shift @ shift + (roots**2).sum() + len(mean) - 2 * roots.sum())


def covered(centres: np.ndarray, points: np.ndarray) -> float:
    """The share of points within the third neighbour's distance of a centre."""
    radii = np.sort(np.linalg.norm(centres[:, None] - centres[None], axis=2), axis=1)[:, 3]
    return float((np.linalg.norm(points[:, None] - centres[None], axis=2) <= radii).any(1).mean())
