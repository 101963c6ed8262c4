"""Stores with groups whose rows lie in folders, Delta tables and tables of a PostgreSQL."""

from datetime import UTC, datetime, timedelta

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

import asof
from asof import Entity, Feature, FeatureGroup

airport = Entity("airport", keys={"origin": "string"})


def hour(number, **more):
    """Return an hour of the first of January."""
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number, **more)


def rows(*given, **types):
    """Return rows (origin, hour, temp) as a table, with the hour at which each was known if there is a fourth part."""
    names = ["origin", "t", "temp", "known_at"][: len(given[0]) if given else 3]
    kinds = [pa.string(), pa.timestamp("us", "UTC"), pa.float64(), pa.timestamp("us", "UTC")]
    lines = [
        [o, None if t is None else hour(t), *rest[:1], *(None if k is None else hour(k) for k in rest[1:])]
        for o, t, *rest in given
    ]
    columns = list(zip(*lines, strict=True)) or [[]] * 3
    return pa.table(
        [pa.array(list(c), types.get(n, k)) for n, c, k in zip(names, columns, kinds, strict=False)], names=names
    )


def weather(external, **parts):
    """Declare the group of such rows."""
    given = {"entity": airport, "event_time": "t", "features": [Feature("temp", "float64")]}
    return FeatureGroup("weather", external=external, **(given | parts))


def spine(*given):
    """Return a spine of (origin, hour)."""
    return pa.table(
        {"origin": [o for o, _ in given], "at": pa.array([hour(h) for _, h in given], pa.timestamp("us", "UTC"))}
    )


def temps(store, *given, view="weather", **options):
    """Return what the store answers."""
    return store.historical(view, spine(*given), time="at", **options).to_arrow().column("temp").to_pylist()


class Table:
    """A table of a PostgreSQL, in a schema of its own."""

    def __init__(self, url, schema):
        self.url, self.schema = url, schema
        self.run(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")

    def run(self, text):
        with psycopg.connect(self.url, autocommit=True) as client:
            client.execute(text)

    def external(self, table="weather"):
        return f"{self.url}?table={table}&schema={self.schema}"

    def put(self, table, columns, name="weather"):
        """Replace a table by rows."""
        self.run(f"DROP TABLE IF EXISTS {self.schema}.{name}; CREATE TABLE {self.schema}.{name} ({columns})")
        with psycopg.connect(self.url) as client, client.cursor() as cursor:
            marks = ", ".join(["%s"] * table.num_columns)
            lines = [tuple(line.values()) for line in table.to_pylist()]
            cursor.executemany(f"INSERT INTO {self.schema}.{name} VALUES ({marks})", lines)


@pytest.fixture
def store(tmp_path):
    with asof.open(tmp_path / "features", clock=lambda: hour(48)) as opened:
        yield opened


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def table(postgres_server):
    return Table(postgres_server.url, "outside")


class Place:
    """A place of one kind, whose rows are replaced."""

    def __init__(self, kind, folder, table):
        self.kind, self.folder, self.table = kind, folder, table

    @property
    def external(self):
        if self.kind == "postgresql":
            return self.table.external()
        return f"{self.kind}:{self.folder}"

    def put(self, table):
        if self.kind == "parquet":
            pq.write_table(table, self.folder / "rows.parquet")
        elif self.kind == "delta":
            write_deltalake(str(self.folder), table, mode="overwrite", schema_mode="overwrite")
        else:
            more = ", known_at timestamptz" if table.num_columns == 4 else ""
            self.table.put(table, f"origin text, t timestamptz, temp float8{more}")


@pytest.fixture(params=["parquet", "delta", "postgresql"])
def place(request, files):
    table = request.getfixturevalue("table") if request.param == "postgresql" else None
    return Place(request.param, files, table)
