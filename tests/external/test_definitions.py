"""What may be declared of an external group, and what becomes of a place that moves."""

import pytest
from tests.external.conftest import weather

import asof
from asof import Check, Feature
from asof.definitions.documents import group_document, group_from, group_identity
from asof.errors import NotFoundError, UsageError


@pytest.mark.parametrize(
    ("external", "said"),
    [
        ("weather", "is no place"),
        ("parquet:", "is no place"),
        (7, "is no text"),
        ("parquete:/data", "did you mean 'parquet'"),
        ("postgresql://ann:secret@host/db?table=weather", "holds a password"),
        ("postgresql://ann@host/db?table=weather&password=secret", "holds a password"),
        ("postgresql://ann@host/db", "names no table"),
        ("postgresql://ann@host/db?table=weather&shema=x", "schema"),
    ],
)
def test_a_place_is_checked_and_holds_no_password(external, said):
    with pytest.raises((UsageError, NotFoundError), match=said) as refused:
        weather(external)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "parts",
    [
        {"online": True},
        {"retention": "7d"},
        {"on_unchanged": "skip"},
        {"checks": [Check.between("temp", 0, 1)]},
        {"on_violation": "warn"},
        {"available_at": "temp"},
        {"available_at": "known_at", "delay": "1h"},
        {"available_at": "known_at", "event_time": None},
    ],
    ids=str,
)
def test_what_external_rows_cannot_have_is_refused(parts):
    with pytest.raises(UsageError):
        weather("parquet:/data", **parts)


def test_available_at_is_of_external_groups():
    with pytest.raises(UsageError, match="pass it to backfill"):
        weather(None, available_at="known_at")


def test_a_document_read_back_is_the_group_written():
    group = weather("delta:/data", available_at="known_at")
    assert group_from(group_document(group)) == group


def test_the_identity_of_stored_groups_is_what_it_was():
    document = group_document(weather(None))
    before = {name: part for name, part in document.items() if name not in ("external", "available_at")}
    assert group_identity(before) == group_identity(document)


def test_a_place_moves_in_place_and_the_rest_is_a_new_version(tmp_path):
    with asof.open(tmp_path / "features") as store:
        assert "external: its rows stay at parquet:/a" in str(store.plan(weather("parquet:/a")))
        store.apply(weather("parquet:/a"))
        moved = str(store.apply(weather("delta:/b")))
        assert "~ group weather@1: amend" in moved
        assert "'parquet:/a' -> 'delta:/b'" in moved
        assert not store.plan(weather("delta:/b"))
        assert "^ group weather@2" in str(store.plan(weather("delta:/b", available_at="known_at")))
        assert "^ group weather@2" in str(store.plan(weather(None)))
        more = weather("delta:/b", features=[Feature("temp", "float64"), Feature("wind", "float64")])
        assert "~ group weather@1: amend" in str(store.plan(more))
