"""What a new user does with published checkpoints, with networks that tests can afford."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from benchmarks.models.checkpoints import num_bytes, write_checkpoint
from benchmarks.models.published import FAMILIES, Plan, published
from benchmarks.processes import BenchmarkError
from diffusion_core.conversion import Addition, add_model
from diffusion_core.families import get_family
from tests.diffusion_core.conversion.small import small

SMALL = Plan(budget=200_000, vae_channels=(32, 32))  # time enough to cancel the search
FEWSTEP = (sys.executable, "-m", "tests.benchmarks.small_fewstep")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoint_is_one_of_its_family_in_the_layout_of_its_authors(
    name: str, tmp_path: Path
) -> None:
    family, path = small(name), tmp_path / "checkpoint.pt"
    written = write_checkpoint(family, path)
    assert written == path.stat().st_size > num_bytes(family)
    stored = torch.load(path, weights_only=True)
    kinds = {"dit": "pos_embed", "sit": "ema", "flowdcn": "optimizer_states"}
    assert kinds[name.partition("-")[0]] in stored
    added = add_model(tmp_path / "models", Addition(family, path, "added"))
    assert added.card.architecture == family.architecture


def test_full_size_is_that_of_the_published_files() -> None:
    sizes = [num_bytes(get_family(name)) / 1e9 for name in FAMILIES]
    assert sizes == pytest.approx([2.70, 2.70, 2.47], abs=0.01)


@pytest.mark.slow
@pytest.mark.timeout(300)  # on a busy machine four processes take their time to import
def test_a_checkpoint_is_added_served_searched_on_and_removed() -> None:
    with TemporaryDirectory() as work:  # a short path: a socket lies in it
        [result] = published([small("flowdcn-xl-2-256")], Path(work), SMALL, FEWSTEP)
        assert list(Path(work).iterdir()) == [], "what was written is gone"
    figures = {name.partition(": ")[2]: value for name, value in result.figures.items()}
    assert set(figures) == {
        "checkpoint_gb", "add_s", "add_peak_gb", "load_s", "digests_equal", "first_image_s",
        "image_s", "server_resident_gb", "search_moves_s", "search_peak_gb", "cancel_s",
        "server_resident_gb_when_unloaded", "server_peak_gb",
    }  # fmt: skip
    assert all(value > 0 for value in figures.values())
    assert figures["server_peak_gb"] >= figures["server_resident_gb"]
    [facts] = result.samples.values()
    assert facts["image"]["pixels"] == 16
    assert facts["search_state"] == "cancelled"
    assert [target["met"] for target in result.as_dict()["targets"]] == [True]
    assert work not in json.dumps(result.as_dict())


def test_a_command_that_fails_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    fails = (sys.executable, "-c", "raise SystemExit('no such family')")
    with pytest.raises(BenchmarkError, match="no such family"):
        next(published([small("dit-xl-2-256")], tmp_path, SMALL, fails))
    assert list(tmp_path.iterdir()) == []
