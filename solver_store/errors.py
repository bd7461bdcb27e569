"""What can go wrong with a solver or its store.

StoreError
├── TableError            the numbers break a rule of SolverTable
├── RecordError           evidence, a source or a note that cannot be kept
├── InvalidReference      a solver reference or name that cannot be read
├── NameMismatch          a table or target other than the one its name stands for
├── VersionNotFound       no such name, version, alias or digest
├── PromotionConflict     the alias moved in the meantime
├── StoreUnavailable      the database cannot be reached, or stays locked
└── StoreDamaged          the database does not hold what was written
"""


class StoreError(Exception):
    """Root of this package's errors."""


class TableError(StoreError):
    """The numbers break a rule of SolverTable; the message names rule, value and place."""


class RecordError(StoreError):
    """Evidence, a source or a note that cannot be kept; the message names rule, value and place."""


class InvalidReference(StoreError):
    """A solver reference or name that cannot be read."""


class NameMismatch(StoreError):
    """A name stands for one model, guidance scale, schedule and NFE; this would make it two."""


class VersionNotFound(StoreError):
    """No such name, version, alias or digest."""


class PromotionConflict(StoreError):
    """The alias moved in the meantime."""

    def __init__(self, message: str, current: int | None):
        super().__init__(message)
        self.current = current  # the version that the alias points at now


class StoreUnavailable(StoreError):
    """The database cannot be reached, or stays locked.

    Nothing was changed. The one exception is a commit whose answer was lost on the way: it may
    stand, and doing the same again is safe (publishing twice is publishing once).
    """


class StoreDamaged(StoreError):
    """The database does not hold what was written: a row that cannot be read, a wrong digest."""
