"""Confirmations of unchanged rows."""

import sqlalchemy as sa

from asof.registry.sql.column_types import TEXT, Constant
from asof.registry.sql.steps import add_column

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add three columns; what was there stays as it is."""
    add_column("group_version", sa.Column("drops", sa.BigInteger, nullable=False, server_default="0"))
    add_column("commit_record", sa.Column("changes", TEXT, nullable=False, server_default=Constant("{}")))
    add_column("data_file", sa.Column("confirms", sa.Boolean, nullable=False, server_default=sa.false()))
