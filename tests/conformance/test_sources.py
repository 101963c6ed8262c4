"""Every source is held to its port: `asof.ingest.sources.port.Source`."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asof.clock import to_us
from asof.ingest.sources.calls import CursorSource
from asof.ingest.sources.files import FileSource, listed
from asof.ingest.sources.port import Asked
from asof.ingest.sources.reading import read_file
from asof.ingest.sources.spans import SpanSource

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
TYPES = {"k": pa.int64(), "t": pa.timestamp("us", "UTC")}


def table(numbers):
    return pa.table({"k": pa.array(numbers, pa.int64()), "t": pa.array([hour(n) for n in numbers], TYPES["t"])})


def hour(number):
    return BEGIN + timedelta(hours=number)


class OnFiles:
    """Files, of which each new row is one."""

    def __init__(self, folder):
        self.folder = folder

    def put(self, number):
        pq.write_table(table([number]), self.folder / f"{number:02}.parquet")

    def source(self):
        read = lambda file: read_file(file.path, TYPES, only=True, timezone=None)  # noqa: E731 - short
        return FileSource("s", lambda: listed(self.folder, ".", "here"), read, where="here", keeps=True)


class OnCursor:
    """A function that gives two rows at a time."""

    def __init__(self, _folder):
        self.rows = []

    def put(self, number):
        self.rows.append(number)

    def source(self):
        def pages(cursor):
            for at in range(cursor or 0, len(self.rows), 2):
                yield table(self.rows[at : at + 2]), min(at + 2, len(self.rows))

        return CursorSource(pages, "module:pages", "here")


class OnSpans(OnCursor):
    """Rows that are asked for by event time."""

    def source(self):
        def ask(bounds):
            yield table([n for n in self.rows if (bounds[0] or 0) < to_us(hour(n)) <= bounds[1]])

        return SpanSource("s", ask, where="here", every_us=None)


@pytest.fixture(params=[OnFiles, OnCursor, OnSpans])
def place(request, tmp_path):
    return request.param(tmp_path)


class Taking:
    """What a run does with pieces, without a store."""

    def __init__(self, place):
        self.place, self.taken, self.note, self.now = place, {}, {}, 1

    def pieces(self, *, store=True, **asked):
        told, found = [], []
        request = Asked(to_us(hour(self.now)), note=lambda: self.note, **asked)
        for piece in self.place.source().pieces(dict(self.taken), request, lambda *done: told.append(done)):
            numbers = [number for rows in piece.rows() for number in rows["k"].to_pylist()]
            found.append((piece, numbers))
            if store and numbers:
                self.taken |= piece.moves
                self.note = json.loads(json.dumps(dict(piece.note)))
        assert told == sorted(told)
        assert all(done <= total for done, total in told)
        return found

    def numbers(self, **options):
        return sorted(number for _, numbers in self.pieces(**options) for number in numbers)


def test_what_comes_after_the_positions_is_given_once(place):
    run = Taking(place)
    place.put(0)
    place.put(1)
    assert run.numbers() == [0, 1]
    assert run.numbers() == []
    place.put(2)
    run.now = 3
    assert run.numbers() == [2]
    assert run.numbers() == []


def test_asking_takes_nothing_and_the_same_positions_give_the_same(place):
    run = Taking(place)
    place.put(0)
    place.put(1)
    assert run.numbers(store=False) == run.numbers(store=False) == run.numbers() == [0, 1]


def test_to_begin_anew_gives_everything_and_moves_to_where_the_end_is(place):
    run = Taking(place)
    for number in range(3):
        place.put(number)
    run.now = 3
    run.numbers()
    before = dict(run.taken)
    assert run.numbers(full=True) == [0, 1, 2]
    assert run.taken == before
    assert run.numbers() == []


def test_positions_fit_the_registry(place):
    run = Taking(place)
    place.put(0)
    pieces = run.pieces()
    assert pieces
    for piece, _ in pieces:
        assert piece.moves
        assert all(len(partition) <= 127 and 0 < len(reached) <= 63 for partition, reached in piece.moves.items())
        assert json.dumps(dict(piece.note))


def test_nothing_is_held_between_two_calls(place):
    run = Taking(place)
    place.put(0)
    pieces = place.source().pieces({}, Asked(to_us(hour(1))), lambda *_: None)
    next(pieces)
    pieces.close()
    assert run.numbers() == [0]


def test_no_rows_are_no_error(place):
    assert Taking(place).numbers() == []
