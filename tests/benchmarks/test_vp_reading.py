"""The two readings of the published VP tables, against plain loops."""

import pytest
import torch

from benchmarks.models.vp_reading import doubled
from diffusion_core.program import NetworkKind, sample_table
from diffusion_core.schedule import get_schedule
from solver_store.published import PublishedTable, published_tables
from solver_store.table import Prediction

VP = [entry for entry in published_tables() if entry.table.schedule == "vp"]
KIND = NetworkKind("vp", Prediction.NOISE, time_scale=1000.0)


def network(x, time, class_label):
    """Some smooth field, far from a real one."""
    return torch.tanh(x + (time / 1000.0)[:, None, None, None])


def released_sampler(published: PublishedTable, x: torch.Tensor) -> torch.Tensor:
    """Two updates a step and two entries a prediction, as the released code is described."""
    schedule = get_schedule("vp")
    times = torch.tensor(published.table.times, dtype=torch.float64)
    remembered = []
    for i, row in enumerate(published.coefficients):
        sigma, sigma_next = schedule.sigma(times[i]), schedule.sigma(times[i + 1])
        alpha, alpha_next = schedule.alpha(times[i]), schedule.alpha(times[i + 1])
        step = alpha_next / sigma_next - alpha / sigma
        label = torch.zeros(len(x), dtype=torch.long)
        noise = network(x, (times[i] * 1000).expand(len(x)), label)
        data = (x - sigma * noise) / alpha
        remembered.append(data)
        mixed = sum(c * remembered[j] for j, c in enumerate(row)) + (1 - sum(row)) * data
        x = sigma_next / sigma * x + sigma_next * step * mixed
        remembered.append(data)
        x = sigma_next / sigma * x + sigma_next * step * data
    return x


@pytest.mark.parametrize("published", VP, ids=lambda published: published.name)
def test_the_doubled_table_runs_as_the_released_sampler(published: PublishedTable) -> None:
    x = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    wanted = released_sampler(published, x.double())
    label = torch.zeros(3, dtype=torch.long)
    found = sample_table(network, doubled(published), KIND, x, label)
    torch.testing.assert_close(found.double(), wanted, rtol=2e-4, atol=2e-4)


def test_the_two_readings_are_not_the_same() -> None:
    x, label = torch.randn(3, 1, 2, 2), torch.zeros(3, dtype=torch.long)
    once = sample_table(network, VP[0].table, KIND, x, label)
    assert (once - sample_table(network, doubled(VP[0]), KIND, x, label)).abs().max() > 0.01
