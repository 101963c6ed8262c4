"""Point-in-time answers in DuckDB, by hand: what somebody writes who knows his data and wants nothing but speed."""

import sqlite3
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa


@dataclass
class Layout:
    """The files of a group: backfilled ones, whose rows were known at their event time, and written ones.

    Attributes:
        names: Feature columns.
        keys: Key columns.
        backfilled: Paths.
        written: (path, when its rows arrived, in microseconds).
    """

    names: list
    keys: tuple
    backfilled: list
    written: list

    @classmethod
    def of(cls, place, group, names, keys=("user",)):
        """Read it out of a store's registry."""
        with sqlite3.connect(place / "registry.db") as registry:
            found = registry.execute(
                "SELECT d.path, c.availability, c.committed_at_us FROM data_file d"
                " JOIN commit_record c ON c.group_id = d.group_id AND c.number = d.first_commit"
                " JOIN group_version v ON v.id = d.group_id WHERE v.name = ? ORDER BY c.number",
                [group],
            ).fetchall()
        paths = [(str(place / "history" / path), how, arrived) for path, how, arrived in found]
        backfilled = [path for path, how, _ in paths if how == "delay"]
        return cls(names, keys, backfilled, [(path, arrived) for path, how, arrived in paths if how == "commit"])

    @property
    def features(self):
        """SQL of the feature columns."""
        return ", ".join(self.names)

    @property
    def by(self):
        """SQL of the key columns."""
        return ", ".join(self.keys)

    @property
    def same_key(self):
        """SQL of the condition that a row has the key of a row of the spine."""
        return " AND ".join(f"spine.{key} = r.{key}" for key in self.keys)

    def rows(self):
        """Return all rows as SQL: keys, ts, features."""
        files = self.backfilled + [path for path, _ in self.written]
        return f"SELECT {self.by}, ts, {self.features} FROM read_parquet({files})"

    def arrivals(self):
        """Return all rows as SQL, each with the time `s` since when it counts."""
        arrived = ", ".join(f"({at}, make_timestamptz({us}))" for at, (_, us) in enumerate(self.written))
        return (
            f"SELECT {self.by}, ts, ts AS s, {self.features} FROM read_parquet({self.backfilled})"
            f" UNION ALL SELECT {self.by}, ts, greatest(ts, arrived) AS s, {self.features}"
            f" FROM (SELECT *, file_index AS i FROM read_parquet({[path for path, _ in self.written]}))"
            f" JOIN (VALUES {arrived}) AS a(i, arrived) USING (i)"
        )


def as_of(layout):
    """Join as of the event time."""
    return f"SELECT n, {layout.features} FROM spine ASOF LEFT JOIN ({layout.rows()}) r ON {layout.same_key} AND t >= ts"


def as_of_in_order(layout):
    """Join as of the event time, and let DuckDB bring the rows into the spine's order."""
    return f"{as_of(layout)} ORDER BY n"


def hashed(layout):
    """Join on the user, find the greatest time, fetch that row."""
    return (
        f"WITH r AS MATERIALIZED ({layout.rows()}),"
        f" best AS (SELECT n, max(ts) AS ts FROM spine JOIN r USING ({layout.by}) WHERE ts <= t GROUP BY n)"
        f" SELECT spine.n, {layout.features} FROM spine LEFT JOIN best USING (n)"
        f" LEFT JOIN r ON {layout.same_key} AND r.ts = best.ts"
    )


def packed(layout):
    """Join on the user, keep the greatest row as a struct."""
    return (
        f"SELECT n, unnest(best) FROM (SELECT n, arg_max(struct_pack({layout.features}), ts) FILTER (ts <= t) AS best"
        f" FROM spine LEFT JOIN ({layout.rows()}) r USING ({layout.by}) GROUP BY n)"
    )


def late_as_of(layout):
    """Keep the rows that are the newest when they become visible, join as of that time."""
    return (
        f"SELECT n, {layout.features} FROM spine ASOF LEFT JOIN (SELECT * FROM ({layout.arrivals()})"
        f" QUALIFY ts = max(ts) OVER (PARTITION BY {layout.by} ORDER BY s)) r ON {layout.same_key} AND t >= s"
    )


def late_hashed(layout):
    """As `hashed`, of the rows that had arrived."""
    return (
        f"WITH r AS MATERIALIZED ({layout.arrivals()}),"
        f" best AS (SELECT n, max(ts) AS ts FROM spine JOIN r USING ({layout.by}) WHERE s <= t GROUP BY n)"
        f" SELECT spine.n, {layout.features} FROM spine LEFT JOIN best USING (n)"
        f" LEFT JOIN r ON {layout.same_key} AND r.ts = best.ts"
    )


def late_packed(layout):
    """As `packed`, of the rows that had arrived."""
    return (
        f"SELECT n, unnest(best) FROM (SELECT n, arg_max(struct_pack({layout.features}), ts) FILTER (s <= t) AS best"
        f" FROM spine LEFT JOIN ({layout.arrivals()}) r USING ({layout.by}) GROUP BY n)"
    )


def few(layout):
    """Return the rows of the spine's keys up to its last time, as SQL: for a spine much smaller than the history."""
    return f"SELECT * FROM ({layout.rows()}) SEMI JOIN spine USING ({layout.by}) WHERE ts <= (SELECT max(t) FROM spine)"


def few_as_of(layout):
    """As `as_of`, of few rows."""
    return f"SELECT n, {layout.features} FROM spine ASOF LEFT JOIN ({few(layout)}) r ON {layout.same_key} AND t >= ts"


def few_packed(layout):
    """As `packed`, of few rows."""
    return (
        f"SELECT n, unnest(best) FROM (SELECT n, arg_max(struct_pack({layout.features}), ts) FILTER (ts <= t) AS best"
        f" FROM spine LEFT JOIN ({few(layout)}) r USING ({layout.by}) GROUP BY n)"
    )


EVENT = {"as-of join": as_of, "as-of join, ordered": as_of_in_order, "hash join": hashed, "arg_max": packed}
NARROW = {"semi join, as-of join": few_as_of, "semi join, arg_max": few_packed}
LATE = {"running maximum, as-of join": late_as_of, "hash join": late_hashed, "arg_max": late_packed}


def answer(way, layouts, spine):
    """Return the spine with the features of all groups, in its order: one statement a group."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.register("spine", spine.append_column("n", pa.array(np.arange(spine.num_rows))))
    columns = {name: spine.column(name) for name in spine.column_names}
    for layout in layouts:
        found = connection.sql(way(layout)).to_arrow_table()
        numbers = found.column("n").to_numpy()
        if not way.__name__.endswith("in_order"):
            found = found.take(np.argsort(numbers))
        columns |= {name: found.column(name) for name in layout.names}
    connection.close()
    return pa.table(columns)
