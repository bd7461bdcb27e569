from collections import Counter

import pytest

from benchmarks.serving.head_of_line import batch_sizes
from benchmarks.serving.work import (
    Item,
    Kind,
    batches,
    even_parts,
    mixed_kinds,
    mixed_work,
    total_cost,
)


def test_mixed_work_holds_every_kind_equally_often_whatever_the_seed() -> None:
    for seed in (1, 2):
        counts = Counter(item.kind for item in mixed_work(36, per_kind=3, seed=seed))

        assert counts == dict.fromkeys(mixed_kinds(), 3)


def test_a_seed_gives_the_same_work_again_and_another_seed_other_work() -> None:
    assert mixed_work(36, 2, seed=1) == mixed_work(36, 2, seed=1)
    assert mixed_work(36, 2, seed=1) != mixed_work(36, 2, seed=2)


def test_kinds_are_those_of_the_issue() -> None:
    kinds = mixed_kinds()

    assert {kind.steps for kind in kinds} == set(range(4, 21))
    assert {kind.guidance_scale for kind in kinds} == {1.0, 2.0}
    assert len({kind.solver for kind in kinds}) == 3


def test_guided_images_cost_two_rows_a_step() -> None:
    guided = Item(Kind(10, 2.0, "euler"), class_id=0, seed=0)
    unguided = Item(Kind(10, 1.0, "euler"), class_id=0, seed=0)

    assert total_cost([guided, unguided]) == 30


def test_batches_are_of_one_kind_and_lose_nothing() -> None:
    work = mixed_work(36, per_kind=5, seed=1)
    cut = batches(work, lambda kind: 4 // kind.rows)

    assert all(item.kind == kind for kind, batch in cut for item in batch)
    assert all(len(batch) * kind.rows <= 4 for kind, batch in cut)
    assert Counter(item for _, batch in cut for item in batch) == Counter(work)


def test_even_parts_differ_by_at_most_one() -> None:
    items = [Item(Kind(4, 1.0, "euler"), 0, seed) for seed in range(10)]
    parts = even_parts(items, 4)

    assert [item for part in parts for item in part] == items
    assert sorted(map(len, parts)) == [3, 3, 4]


@pytest.mark.parametrize(
    ("row_limit", "rows", "sizes"), [(16, 2, [1, 2, 4, 8]), (12, 2, [1, 2, 4]), (1, 2, [1])]
)
def test_batch_sizes_stay_within_the_row_limit(row_limit: int, rows: int, sizes: list[int]) -> None:
    assert batch_sizes(row_limit, rows) == sizes
