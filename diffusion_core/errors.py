"""What can go wrong in the maths and with the models.

DiffusionError
├── TableMismatch     the table cannot drive this model, or not at this number of steps
├── SolverUnknown     no classical solver of that name
├── ModelNotFound     no model of that name
├── ModelInvalid      a card, weights file or statistics file that breaks a rule
└── ClassNotFound     no such class in the model
"""


class DiffusionError(Exception):
    """Root of this package's errors."""


class TableMismatch(DiffusionError):
    """The table cannot drive this model, or not at this number of steps."""


class SolverUnknown(DiffusionError):
    """No classical solver of that name."""


class ModelNotFound(DiffusionError):
    """No model of that name."""


class ModelInvalid(DiffusionError):
    """A card, weights file or statistics file that breaks a rule."""


class ClassNotFound(DiffusionError):
    """No such class in the model."""
