"""The house itself: our plain package names are ours, and nothing unsafe is imported."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_resolves_inside_the_repository(package: str) -> None:
    """`service` is also a distribution on the package index: ours must win."""
    module = importlib.import_module(package)
    assert {Path(folder).resolve() for folder in module.__path__} == {ROOT / package}


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_pickle_or_torchvision(path: Path) -> None:
    assert not imported_names(path) & {"pickle", "cPickle", "dill", "joblib", "torchvision"}


def test_no_checkpoint_is_loaded_without_weights_only() -> None:
    for path in SOURCES:
        for call in re.findall(r"torch\.load\(.*?\)", path.read_text(), flags=re.DOTALL):
            assert "weights_only=True" in call, path


def test_the_client_imports_without_torch() -> None:
    program = "import sys, service.client; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_every_dependency_is_pinned() -> None:
    pins = {
        re.split(r"[=\[]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(entry for extra in extras for entry in extra)]
    names = {re.split(r"[<>=\[]", entry)[0].lower() for entry in wanted} - {"fewstep"}
    assert names <= pins
