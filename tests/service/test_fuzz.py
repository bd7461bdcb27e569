"""Fuzzing by the OpenAPI document: no 5xx, and nothing that the document does not say.

schemathesis derives good and bad requests from the document and compares what comes back with it.
Some rules are beyond a JSON schema (which classes a model has, how the numbers of a table hang
together), so what fits the document may still be refused, as documented; and a deadline that is
missed is rightly answered with 504.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from service.app import create_app
from service.routes.search_jobs import ID_PATTERN
from service.schemas import MAX_IMAGES, NAME_PATTERN
from service.settings import Settings
from solver_store.table import MAX_NFE
from tests.service.conftest import StartServer
from tests.service.live import Live

EXISTING = "flowdcn-b-256-5"
FEW_STEPS = 5
FEW_IMAGES = 2
EXAMPLES = 15

CONFIGURATION = """
seed = 1
[checks]
positive_data_acceptance.enabled = false
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "504"]
"""

load_all_checks()
schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
OPERATIONS = [result.ok() for result in schema.get_all_operations()]
CASES = [
    (operation, mode)
    for operation in OPERATIONS
    for mode in GenerationMode
    # What takes no input cannot be asked wrongly.
    if mode is GenerationMode.POSITIVE or [*operation.iter_parameters(), *operation.body]
]


def _label(value: APIOperation | GenerationMode) -> str:
    return value.value if isinstance(value, GenerationMode) else value.label


@pytest.fixture(scope="module")
def fuzzed(
    start_server: StartServer, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """A server with a store of its own: other tests need not know what is fuzzed into it."""
    own = tmp_path_factory.mktemp("fuzz")
    with start_server(home=own, models=(str(home / "models" / "tiny"),)) as live:
        yield live


@pytest.fixture(scope="module")
def finished_job(fuzzed: Live) -> str:
    """A search that has ended: its events come to an end, too."""
    with httpx.Client(base_url=fuzzed.url) as http:
        job_id: str = http.post("/search-jobs", json={"steps": 5}).json()["id"]
        http.post(f"/search-jobs/{job_id}/cancel")
    return job_id


@pytest.mark.parametrize(("operation", "mode"), CASES, ids=_label)
def test_every_answer_to_random_requests_is_documented(
    fuzzed: Live, finished_job: str, operation: APIOperation, mode: GenerationMode
) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Case) -> None:
        _keep_short(case)
        _name_what_exists(case, finished_job)
        too_strict = CHECKS.get_one("positive_data_acceptance")
        case.call_and_validate(base_url=fuzzed.url, excluded_checks=[too_strict])

    check()


def test_every_answer_to_edge_cases_is_documented(fuzzed: Live, tmp_path: Path) -> None:
    """The edges of every rule in the document, one after another."""
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
            *("run", f"{fuzzed.url}/openapi.json", "--phases", "coverage", "--no-color"),
        ],
        cwd=tmp_path,  # where it keeps a cache
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def _keep_short(case: Case) -> None:
    """Fewer steps and images where what is asked for is in range, and no deadlines."""
    body = case.body
    if case.operation.path != "/generate" or not isinstance(body, dict):
        return
    if _is_int(body.get("steps"), 1, MAX_NFE):
        body["steps"] = 1 + body["steps"] % FEW_STEPS
    if _is_int(body.get("num_images"), 1, MAX_IMAGES):
        body["num_images"] = 1 + body["num_images"] % FEW_IMAGES
    if _is_int(body.get("deadline_ms"), 1, None):
        del body["deadline_ms"]


def _name_what_exists(case: Case, job_id: str) -> None:
    """Instead of half of the well-formed names."""
    asked = (case.path_parameters or {}).get("job_id")
    if isinstance(asked, str) and re.fullmatch(ID_PATTERN, asked) and len(asked) % 2:
        case.path_parameters["job_id"] = job_id
    name = (case.path_parameters or {}).get("name")
    if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) and len(name) % 2:
        case.path_parameters["name"] = EXISTING
        if _is_int(case.path_parameters.get("version"), 1, None):
            case.path_parameters["version"] = 1


def _is_int(value: object, low: int, high: int | None) -> bool:
    return type(value) is int and low <= value and (high is None or value <= high)
