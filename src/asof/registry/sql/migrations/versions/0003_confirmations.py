"""Confirmations of unchanged rows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add three columns; what was there stays as it is."""
    op.add_column("group_version", sa.Column("drops", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("commit_record", sa.Column("changes", sa.Text, nullable=False, server_default="{}"))
    op.add_column("data_file", sa.Column("confirms", sa.Boolean, nullable=False, server_default=sa.false()))
