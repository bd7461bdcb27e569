"""Names, versions, evidence, alias moves and the revision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "solvers",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("schedule", sa.String(32), nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("model", sa.String(100)),
        sa.Column("guidance_scale", sa.Double),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("model", "steps", "guidance_scale"),
    )
    op.create_table(
        "solver_versions",
        sa.Column("name", sa.String(100), sa.ForeignKey("solvers.name"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("table_json", sa.Text, nullable=False),
        sa.Column("source_json", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("name", "digest"),
    )
    op.create_index("ix_solver_versions_digest", "solver_versions", ["digest"])
    op.create_table(
        "solver_evidence",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("guidance_scale", sa.Double, nullable=False),
        sa.Column("metrics_json", sa.Text, nullable=False),
        sa.Column("details_json", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["name", "version"], ["solver_versions.name", "solver_versions.version"]
        ),
    )
    op.create_index("ix_solver_evidence_name_version", "solver_evidence", ["name", "version"])
    op.create_table(
        "solver_alias_moves",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("alias", sa.String(32), nullable=False),
        sa.Column("from_version", sa.Integer),
        sa.Column("to_version", sa.Integer, nullable=False),
        sa.Column("moved_by", sa.String(200), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["name", "to_version"], ["solver_versions.name", "solver_versions.version"]
        ),
    )
    op.create_index("ix_solver_alias_moves_name_alias", "solver_alias_moves", ["name", "alias"])
    store_revision = op.create_table(
        "store_revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(store_revision, [{"id": 1, "revision": 0}])
