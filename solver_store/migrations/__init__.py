"""Changes of the database's shape, one file each in versions/, applied when a store is opened."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from ..database import Database
from ..errors import StoreUnavailable


def migrate(database: Database) -> None:
    """Bring the database to this program's shape; several processes may do so at once.

    Raises StoreUnavailable when it was written by a newer program, or cannot be reached.
    """
    config = Config()
    config.set_main_option("script_location", __name__.replace(".migrations", ":migrations"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    with database.reading() as connection:  # the usual case: nothing to do, nobody to wait for
        if MigrationContext.configure(connection).get_current_revision() == newest:
            return
    with database.writing() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreUnavailable(
                f"the database was written by a newer version of fewstep: {error}"
            ) from error
