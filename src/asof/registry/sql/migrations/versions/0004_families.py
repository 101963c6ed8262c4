"""Column families: groups that are split into a hot and a cold one, and which of them a file holds."""

import sqlalchemy as sa

from asof.registry.sql.column_types import TEXT, Constant, short_text
from asof.registry.sql.steps import add_column, create_index

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add two columns and an index; what was there stays as it is, and belongs to both families."""
    add_column("group_version", sa.Column("cold", TEXT, nullable=False, server_default=Constant("[]")))
    add_column("data_file", sa.Column("family", short_text(4)))
    retracts = sa.text("target IS NOT NULL")
    create_index(
        "commit_record_of_target",
        "commit_record",
        ["group_id", "target"],
        sqlite_where=retracts,
        postgresql_where=retracts,
    )
