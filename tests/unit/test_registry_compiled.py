"""What registries of one process share: the statements that were compiled, and those that make their tables."""

import sqlite3
from contextlib import closing

from sqlalchemy import create_engine

from asof.registry.sql import open_sql
from asof.registry.sql.compiled import kind_of, statements
from asof.registry.sql.tables import metadata


def shape(file):
    """Return all that SQLite knows of the tables, word by word."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
        return [row for row in found if row[2] != "alembic_version"]


def test_the_tables_of_a_new_registry_are_those_that_sqlalchemy_makes(tmp_path):
    url = f"sqlite:///{tmp_path}/theirs.db"
    engine = create_engine(url)
    metadata.create_all(engine)
    engine.dispose()
    for name in ("first.db", "second.db"):  # the second finds the statements of the first
        open_sql(f"sqlite:///{tmp_path}/{name}").log.close()
        assert shape(tmp_path / name) == shape(tmp_path / "theirs.db")


def test_a_second_registry_compiles_nothing_anew(tmp_path):
    for name in ("first.db", "second.db"):
        before = list(statements)
        opened = open_sql(f"sqlite:///{tmp_path}/{name}")
        assert opened.log.heads() == {}
        assert opened.registry.groups() == []
        opened.log.close()
    assert list(statements) == before


def test_databases_of_one_kind_share_statements_and_others_do_not():
    sqlite, other = (create_engine("sqlite://").dialect for _ in range(2))
    postgres = create_engine("postgresql+psycopg://").dialect
    assert sqlite is not other
    assert kind_of(sqlite) == kind_of(other) != kind_of(postgres)
