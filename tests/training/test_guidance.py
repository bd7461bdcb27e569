"""Which of the measured guidance scales a model ships with."""

from diffusion_core.quality import Quality
from training.guidance import default_scale


def rows(**found: tuple[float, float]) -> dict[float, Quality]:
    """s13=(accuracy, distance): of scale 1.3."""
    return {int(name[1:]) / 10: Quality(540, *figures) for name, figures in found.items()}


def test_the_lowest_distance_wins_among_those_that_are_read() -> None:
    measured = rows(s12=(0.94, 22.0), s13=(0.952, 23.3), s15=(0.969, 29.9))
    assert default_scale(measured, least_accuracy=0.95) == 1.3


def test_of_equal_distances_the_better_read_one_wins() -> None:
    measured = rows(s13=(0.933, 24.41), s14=(0.948, 24.66), s16=(0.963, 31.4))
    assert default_scale(measured, least_accuracy=0.93) == 1.4


def test_where_none_is_read_well_enough_the_lowest_distance_decides() -> None:
    assert default_scale(rows(s13=(0.5, 40.0), s20=(0.6, 60.0)), least_accuracy=0.93) == 1.3
