"""Every public error of every package has a status, and only one."""

import importlib
import pkgutil
from collections.abc import Iterator

import diffusion_core
import search_jobs
import service
import solver_store
from diffusion_core.errors import DiffusionError
from service.errors import NEVER_PUBLIC, STATUSES, FieldRefused, ServiceError, status_of
from solver_store.errors import StoreError, VersionNotFound

PACKAGES = (solver_store, diffusion_core, search_jobs, service)


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    if not kind.__subclasses__():
        yield kind
    for child in kind.__subclasses__():
        yield from leaves(child)


def roots() -> list[type[Exception]]:
    """The root error of each package, found by name, so that a new package cannot be forgotten."""
    found = []
    for package in PACKAGES:
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if module.name.endswith(".errors"):
                members = vars(importlib.import_module(module.name)).values()
                found += [
                    member
                    for member in members
                    if isinstance(member, type) and Exception in member.__bases__
                ]
    return found


def test_every_error_has_a_status_or_is_never_public() -> None:
    assert {StoreError, DiffusionError, ServiceError} <= set(roots())
    for root in roots():
        for leaf in leaves(root):
            has_status = any(kind in STATUSES for kind in leaf.__mro__)
            assert has_status != (leaf in NEVER_PUBLIC), leaf


def test_every_status_is_a_failure() -> None:
    assert all(400 <= status < 600 for status in STATUSES.values())


def test_a_refused_field_has_the_status_of_its_cause() -> None:
    assert status_of(FieldRefused("solver", "rule", "x", VersionNotFound("no"))) == 404
    assert status_of(FieldRefused("num_images", "rule", 2)) == 422
    assert status_of(ZeroDivisionError()) == 500
