"""What can go wrong in the maths and with the models.

DiffusionError
├── TableMismatch     the table cannot drive this model, or not at this number of steps
├── SolverUnknown     no classical solver of that name
├── ModelNotFound     no model of that name
├── ModelInvalid      a card, weights file or statistics file that breaks a rule
├── ModelTooLarge     the device has no room for it
├── ModelExists       a model of that name is there already
├── FamilyUnknown     no published family of that name
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


class ModelTooLarge(DiffusionError):
    """The device has no room for this model."""


class ModelExists(DiffusionError):
    """A model of that name is there already."""


class FamilyUnknown(DiffusionError):
    """No published family of that name."""


class ClassNotFound(DiffusionError):
    """No such class in the model."""
