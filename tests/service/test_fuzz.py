"""Fuzzing by the OpenAPI document: no 5xx, and nothing that the document does not say.

schemathesis derives both good and bad requests from the document. What it makes of `/generate` is
kept short, or a run would sample for hours; and a deadline of a millisecond is answered with 504,
as it should be, so deadlines are left out.
"""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import positive_data_acceptance  # noqa: F401
from schemathesis.openapi import from_dict

from tests.service.live import Live

MAX_STEPS = 6
MAX_IMAGES = 2
EXISTING = "flowdcn-b-256-5"


def api_schema(server: Live) -> Any:
    document = httpx.get(f"{server.url}/openapi.json").json()
    return from_dict(document, config=None)
