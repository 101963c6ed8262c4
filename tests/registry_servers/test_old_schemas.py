"""Registries with the schema of an earlier asof are brought up on a server as they are in a file."""

import json
import sqlite3
import tarfile
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import Index, MetaData, Table, UniqueConstraint, insert, inspect, text
from tests.store.test_old_stores import FIXTURES, STORES, clock, made, opened_at_once

import asof
from asof.errors import UsageError
from asof.registry.sql.dialects import dialect_of
from asof.registry.sql.tables import REVISION, metadata

pytestmark = pytest.mark.slow

__all__ = ["clock", "made"]


def moved(file, url):
    """Make the tables of a SQLite file in a database, as they were on its day, and fill them."""
    engine = dialect_of(url).engine()
    with closing(sqlite3.connect(file)) as old, engine.begin() as new:
        names = {name for (name,) in old.execute("SELECT name FROM sqlite_master")}
        tables = MetaData()
        for table in metadata.sorted_tables:
            there = {each[1] for each in old.execute(f"PRAGMA table_info({table.name})")}
            if not there:
                continue
            columns = [column._copy() for column in table.columns if column.name in there]
            unique = [
                UniqueConstraint(*each.columns.keys())
                for each in table.constraints
                if isinstance(each, UniqueConstraint)
            ]
            copy = Table(table.name, tables, *columns, *unique)
            for index in table.indexes:
                if index.name in names:
                    Index(index.name, *(copy.c[column.name] for column in index.columns))
        tables.create_all(new)
        for table in tables.sorted_tables:
            every = ", ".join(table.columns.keys())
            rows = [
                dict(zip(table.columns.keys(), row, strict=True))
                for row in old.execute(f"SELECT {every} FROM {table.name}")
            ]
            for row in rows:
                row.update({name: bool(row[name]) for name in ("stamped", "late", "confirms") if name in row})
            if rows:
                new.execute(insert(table), rows)
            if "id" in table.c and url.startswith("postgresql"):
                last = max([row["id"] for row in rows], default=0)
                if last:
                    new.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {last})"))
        ((revision,),) = old.execute("SELECT version_num FROM alembic_version")
        new.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        new.execute(text(f"INSERT INTO alembic_version VALUES ('{revision}')"))
    engine.dispose()


def shape(url):
    """Return all that is to be said of a registry's tables."""
    engine = dialect_of(url).engine()
    with engine.connect() as connection:
        look = inspect(connection)
        found = {
            table: (
                {c["name"]: (str(c["type"]), c["nullable"], str(c["default"])) for c in look.get_columns(table)},
                look.get_pk_constraint(table)["constrained_columns"],
                sorted(c["column_names"] for c in look.get_unique_constraints(table)),
                sorted((i["name"], i["column_names"]) for i in look.get_indexes(table) if not i["unique"]),
            )
            for table in look.get_table_names()
            if table != "alembic_version"
        }
    engine.dispose()
    return found


@pytest.fixture(params=STORES)
def old(request, tmp_path, backend):
    """Give the folder of an old store whose registry lies on the server, and what it answered on its day."""
    with tarfile.open(FIXTURES / f"{request.param}.tar.gz") as packed:
        packed.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 of Debian has none
        packed.extractall(tmp_path)
    folder = tmp_path / "store"
    moved(folder / "registry.db", backend.url)
    (folder / "registry.db").unlink()
    settings = (folder / "asof.toml").read_text()
    (folder / "asof.toml").write_text(settings.replace("sqlite:///registry.db", backend.url))
    return folder, json.loads((FIXTURES / f"{request.param}.json").read_text())


def test_an_old_registry_answers_as_it_did_and_goes_on(old, made, clock, backend):
    folder, recorded = old
    clock.now = made.START + timedelta(hours=12)
    for _ in range(2):  # the second time there is nothing to migrate
        with asof.open(folder, clock=clock) as store:
            answered = made.answers(store)
            for question, answer in recorded.items():
                assert answered[question] == answer, question
            assert store.quality.doctor().healthy, str(store.quality.doctor())
    assert backend.ask("SELECT version_num FROM alembic_version")[0] == (REVISION,)
    clock.now += timedelta(hours=1)
    with asof.open(folder, clock=clock) as store:
        assert not store.plan(made.weather, made.airports, made.scores, made.view)
        store.push("weather", {"origin": "SFO", "time_hour": clock.now, "temp": 1.5, "visib": 2, "note": "new"})
        store.retract("weather:2", reason="not late, wrong")
        assert store.online("departure", {"origin": "SFO"}).values["note"] == "new"
        store.compact()
        assert store.quality.doctor().healthy
        assert not store.verify("departure", instants=10, keys=4).differences


def test_a_migrated_registry_has_the_tables_of_a_new_one(old, backend, opened):
    opened(backend.url)
    new = backend.another()
    opened(new)
    assert shape(backend.url) == shape(new)


def test_a_new_registry_has_the_tables_that_sqlalchemy_makes(backend, opened):
    opened(backend.url)
    theirs = backend.another()
    opened(theirs)
    engine = dialect_of(theirs).engine()
    metadata.drop_all(engine)
    assert not shape(theirs)
    metadata.create_all(engine)
    engine.dispose()
    assert shape(backend.url) == shape(theirs)


@pytest.mark.parametrize("old", STORES[:1], indirect=True)  # has all migrations before it
def test_eight_processes_that_open_an_old_registry_at_once_migrate_it_once(old, made, clock, backend):
    folder, recorded = old
    clock.now = made.START + timedelta(hours=12)
    said = opened_at_once(folder, clock, 8)
    assert said == {f"{len(recorded['rows'])} {recorded['online JFK'][0]['temp']}\n"}
    assert backend.ask("SELECT version_num FROM alembic_version")[0] == (REVISION,)
    with asof.open(folder, clock=clock) as store:
        assert len(store.read("scores")) == 1 + 8


class Stopping:
    """Alembic's operations, of which some are done before the process ends."""

    def __init__(self, left):
        self.left = left

    def __getattr__(self, name):
        from alembic import op

        def step(*arguments, **options):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            getattr(op, name)(*arguments, **options)

        return op.get_bind if name == "get_bind" else step


def test_a_migration_that_was_broken_off_after_any_step_goes_on(tmp_path, backend, opened, monkeypatch):
    with tarfile.open(FIXTURES / f"{STORES[0]}.tar.gz") as packed:  # has all migrations before it
        packed.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 of Debian has none
        packed.extractall(tmp_path)
    opened(backend.url)
    new, broken_off, cuts = shape(backend.url), True, 0
    while broken_off:
        url = backend.another()
        moved(tmp_path / "store" / "registry.db", url)
        with monkeypatch.context() as patch:
            patch.setattr("asof.registry.sql.steps.op", Stopping(cuts))
            try:
                opened(url)
                broken_off = False
            except KeyboardInterrupt:
                cuts += 1
        opened(url)
        assert shape(url) == new, cuts
    assert cuts >= 14


def test_a_registry_that_was_begun_and_broken_off_is_made_anew(backend, opened):
    backend.ask(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
    ) if backend.scheme == "mysql" else None
    if backend.scheme == "mysql":  # PostgreSQL undoes what was begun
        backend.ask("CREATE TABLE journal (group_id INTEGER)")
    opened(backend.url)
    new = backend.another()
    opened(new)
    assert shape(backend.url) == shape(new)


def test_tables_of_somebody_else_are_not_touched(backend, opened):
    if backend.scheme == "postgresql":
        backend.ask(f'CREATE SCHEMA "{backend.name}"')
    backend.ask("CREATE TABLE tag (mine INTEGER)")
    with pytest.raises(UsageError, match="'tag' of somebody else's"):
        opened(backend.url)
    assert backend.ask("SELECT * FROM tag") in ((), [])


def test_a_newer_schema_is_refused(backend, opened):
    opened(backend.url)
    backend.ask("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UsageError, match="upgrade asof"):
        opened(backend.url)
