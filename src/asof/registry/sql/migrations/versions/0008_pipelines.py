"""Training sets and models."""

import sqlalchemy as sa

from asof.registry.sql.column_types import BYTES, TEXT, short_text
from asof.registry.sql.steps import create_table

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add tables; what was there stays as it is."""
    create_table(
        "training_set",
        sa.Column("name", short_text(63), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("view", short_text(127), nullable=False),
        sa.Column("group_ref", short_text(127), nullable=False),
        sa.Column("reads", TEXT, nullable=False),
        sa.Column("digest", short_text(64), nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("manifest", TEXT, nullable=False),
        sa.Column("statistics", BYTES),
    )
    create_table(
        "model",
        sa.Column("name", short_text(63), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stage", short_text(15), nullable=False),
        sa.Column("training_set", short_text(127), nullable=False),
        sa.Column("training_digest", short_text(64), nullable=False),
        sa.Column("view", short_text(127), nullable=False),
        sa.Column("artefact", TEXT, nullable=False),
        sa.Column("digest", short_text(64), nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("facts", TEXT, nullable=False),
    )
