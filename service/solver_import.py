"""A solver that a client brings: its numbers become a table, or are refused by name of the rule."""

import torch

from diffusion_core.paper_form import (
    coefficient_matrix,
    rectified_flow_coefficients,
    vp_coefficients,
)
from solver_store.records import JSON, Publication, Target
from solver_store.store import SolverStore
from solver_store.table import SolverTable

from .problems import blaming
from .schemas import ImportRequest, PaperForm, TableDocument

_COMPILERS = {"rectified-flow": rectified_flow_coefficients, "vp": vp_coefficients}


def import_solver(store: SolverStore, request: ImportRequest) -> Publication:
    """Keep a table under a name; the same table under the same name is kept once.

    Raises FieldRefused for a table that breaks a rule, a reserved name, or a name that stands for
    something else.
    """
    table = read_table(request)
    source: dict[str, JSON] = {"kind": "import", "note": request.note}
    if request.paper_form is not None:
        source["paper_form"] = request.paper_form.model_dump()
    with blaming("name", request.name):
        return store.publish(request.name, table, source=source, target=_target(request))


def read_table(request: ImportRequest) -> SolverTable:
    """Raises FieldRefused, with the rule, the value and the place in the message."""
    if request.table is not None:
        with blaming("table", None):
            return _from_document(request.table)
    assert request.paper_form is not None, "the request holds one of the two"
    with blaming("paper_form", None):
        return _from_paper_form(request.paper_form)


def _from_document(document: TableDocument) -> SolverTable:
    return SolverTable.from_dict(document.model_dump())


def _from_paper_form(form: PaperForm) -> SolverTable:
    deltas = torch.tensor(form.time_deltas, dtype=torch.float64)
    return _COMPILERS[form.schedule](deltas, coefficient_matrix(form.coefficients)).to_table()


def _target(request: ImportRequest) -> Target | None:
    if request.target is None:
        return None
    return Target(request.target.model, request.target.guidance_scale)
