"""What can go wrong with a solver or its store.

StoreError
├── TableError            the numbers break a rule of SolverTable
├── InvalidReference      a solver reference or name that cannot be read
├── VersionNotFound       no such name, version, alias or digest
└── PromotionConflict     the alias moved in the meantime
"""


class StoreError(Exception):
    """Root of this package's errors."""


class TableError(StoreError):
    """The numbers break a rule of SolverTable; the message names rule, value and place."""


class InvalidReference(StoreError):
    """A solver reference or name that cannot be read."""


class VersionNotFound(StoreError):
    """No such name, version, alias or digest."""


class PromotionConflict(StoreError):
    """The alias moved in the meantime."""

    def __init__(self, message: str, current: int | None):
        super().__init__(message)
        self.current = current  # the version that the alias points at now
