"""A search's file is named by all that makes it what it is."""

from benchmarks.search.cells import Cell
from search_jobs.spec import Method, Objective


def test_cells_that_differ_have_names_that_differ() -> None:
    usual = {"method": Method.DSS_PLUS, "objective": Objective.ENDPOINT, "steps": 6}
    usual |= {"guidance_scale": 1.0, "budget": 60_000}
    changes = [
        {}, {"steps": 10}, {"guidance_scale": 1.3}, {"budget": 120_000}, {"seed": 1},
        {"variant": "no-carry"}, {"model": "glyphs-dcn"}, {"objective": Objective.MIXTURE},
        {"method": Method.DSS},
    ]  # fmt: skip
    names = [Cell(**(usual | change)).name for change in changes]
    assert len(set(names)) == len(names)
    assert names[0] == "dss-plus-endpoint-g1-6-60k-s0"
