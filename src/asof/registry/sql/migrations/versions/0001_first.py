"""The first schema. Later migrations alter it; this one only marks the beginning.

A new database gets the newest schema at once, so nothing ever upgrades to this revision.
"""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing lies before the first schema."""
