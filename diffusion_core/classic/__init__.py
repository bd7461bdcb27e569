"""The classical solvers, each written once as a plain algorithm and traced into tables."""

from .catalogue import CLASSICAL_SOLVERS, classical_table, is_classical, solver_times, trace

__all__ = ["CLASSICAL_SOLVERS", "classical_table", "is_classical", "solver_times", "trace"]
