"""Reference files of ADM's evaluator, as numpy writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusion_core.adm import AdmReference
from diffusion_core.errors import ModelInvalid

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (7, 4, 6, 3), dtype=np.uint8)
MOMENTS = {
    "mu": RNG.normal(size=2048),
    "sigma": np.diag(RNG.uniform(1, 2, 2048)),
    "mu_s": RNG.normal(size=2023),
    "sigma_s": np.diag(RNG.uniform(1, 2, 2023)),
}


def write(path: Path, **changes: Any) -> Path:
    arrays = {"arr_0": PICTURES, **MOMENTS, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_moments_come_back(tmp_path: Path) -> None:
    statistics = AdmReference.open(write(tmp_path / "r.npz")).statistics()
    assert np.array_equal(statistics.pool.mean, MOMENTS["mu"])
    np.testing.assert_allclose(statistics.pool.covariance, MOMENTS["sigma"], rtol=1e-12)
    np.testing.assert_allclose(statistics.spatial.covariance, MOMENTS["sigma_s"], rtol=1e-12)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pictures_are_read_a_few_at_a_time(tmp_path: Path, save) -> None:
    save(tmp_path / "r.npz", arr_0=PICTURES, **MOMENTS)
    reference = AdmReference.open(tmp_path / "r.npz")
    assert len(reference) == 7
    read = [reference.pictures(range(start, min(start + 3, 7))) for start in (0, 3, 6)]
    assert np.array_equal(torch.cat(read).numpy(), PICTURES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma_s": None}, "has no sigma_s"),
        ({"arr_0": None, "mu": None}, "has no arr_0, mu"),
        ({"mu": np.zeros(2047)}, "means must be of 2048 features"),
        ({"sigma": np.zeros((2048, 3))}, "covariance must be square"),
        ({"arr_0": PICTURES.astype(np.float32)}, "must be pictures .* of float32"),
        ({"arr_0": PICTURES[..., :1]}, r"must be pictures .* got \(7, 4, 6, 1\)"),
        ({"arr_0": PICTURES[:3]}, "more than 3 pictures, got 3"),
        ({"mu": np.array([{}], dtype=object)}, "allow_pickle"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes, words: str) -> None:
    with pytest.raises(ModelInvalid, match=words):
        AdmReference.open(write(tmp_path / "r.npz", **changes))


def test_no_file_and_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="No such file"):
        AdmReference.open(tmp_path / "no.npz")
    (tmp_path / "text.npz").write_text("mu = 1")
    with pytest.raises(ModelInvalid, match="not a zip file"):
        AdmReference.open(tmp_path / "text.npz")
