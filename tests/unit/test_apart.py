"""Which files of a source have rows that no other row has the identity of, by their bounds."""

import pyarrow as pa
import pytest

from asof.engine.events import apart
from asof.engine.port import Rows
from asof.records import DataFile, Stamp


def file(first: int, last: int, *, commit: int = 0, commits: tuple[int, int] = (0, 0), confirms: bool = False):
    stamp = Stamp(commit, 0, "delay") if commit else None
    stored = DataFile("p", 1, 1, first, last, confirms=confirms, first_commit=commits[0], last_commit=commits[1])
    return (f"{first}-{last}", stored, stamp)


def journal(*times: int) -> pa.Table:
    return pa.table({"k": [1] * len(times), "at": pa.array(times, pa.timestamp("us", "UTC"))})


def places(*files, held: pa.Table | None = None) -> tuple[list[str], list[str], bool]:
    schema = pa.schema([("k", pa.int64()), ("at", pa.timestamp("us", "UTC"))])
    alone, contested = apart(Rows(schema, ("k",), "at", 0, 9, files=files, journal=held))
    assert alone.journal is None
    return [each[0] for each in alone.files], [each[0] for each in contested.files], contested.journal is not None


def test_files_of_one_commit_and_files_of_other_times_have_no_rivals() -> None:
    assert places(file(0, 9, commit=1), file(5, 12, commit=1), file(13, 20, commit=2)) == (
        ["0-9", "5-12", "13-20"],
        [],
        False,
    )
    assert places(file(0, 9, commits=(3, 3)), file(10, 12, commit=4))[1] == []


def test_files_of_two_commits_whose_times_overlap_have() -> None:
    assert places(file(0, 9, commit=1), file(9, 12, commit=2), file(13, 20, commit=3)) == (
        ["13-20"],
        ["0-9", "9-12"],
        False,
    )


def test_so_have_those_that_overlap_through_another_one() -> None:
    assert places(file(0, 9, commit=1), file(2, 20, commit=1), file(15, 16, commit=2))[0] == []


@pytest.mark.parametrize("commits", [(1, 2), (0, 0)])
def test_so_have_files_of_several_commits(commits) -> None:
    assert places(file(0, 9, commits=commits)) == ([], ["0-9"], False)


def test_the_journal_may_have_rows_of_several_commits() -> None:
    assert places(file(0, 9, commit=1), held=journal(10, 11)) == (["0-9"], [], True)
    assert places(file(0, 9, commit=1), held=journal(9, 11)) == ([], ["0-9"], True)


def test_rows_that_are_confirmed_are_told_by_none_of_this() -> None:
    assert places(file(0, 9, commit=1), file(20, 29, commit=2, confirms=True))[0] == []
