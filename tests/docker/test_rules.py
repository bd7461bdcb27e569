"""Prometheus accepts its configuration, and its rules say what they should (rules.yml)."""

import subprocess
from pathlib import Path

import pytest

from tests.servers.prometheus import find_program

PROMETHEUS = Path(__file__).parents[2] / "docker" / "prometheus"
RULE_TESTS = Path(__file__).with_name("rules.yml")


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", PROMETHEUS / "prometheus.yml"),
        ("check", "rules", PROMETHEUS / "rules.yml"),
        ("test", "rules", RULE_TESTS),
    ],
    ids=["configuration", "rules", "what the rules say"],
)
def test_promtool_agrees(arguments: tuple[str | Path, ...]) -> None:
    promtool = find_program("promtool")
    ended = subprocess.run([promtool, *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
