"""Column families: groups that are split into a hot and a cold one, and which of them a file holds."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add two columns and an index; what was there stays as it is, and belongs to both families."""
    op.add_column("group_version", sa.Column("cold", sa.Text, nullable=False, server_default="[]"))
    op.add_column("data_file", sa.Column("family", sa.String(4)))
    retracts = sa.text("target IS NOT NULL")
    op.create_index(
        "commit_record_of_target",
        "commit_record",
        ["group_id", "target"],
        sqlite_where=retracts,
        postgresql_where=retracts,
    )
