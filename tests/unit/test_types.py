"""Texts of types: what no engine holds is no type."""

import pytest

from asof.definitions.types import parse_type
from asof.errors import UsageError


@pytest.mark.parametrize("text", ["list<" * 7 + "int8" + ">" * 7, "vector<float64, 16384>", "struct<a: int8, b: int8>"])
def test_what_can_be_held_is_a_type(text):
    assert str(parse_type(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "list<" * 8 + "int8" + ">" * 8,
        "list<" * 100_000,
        "vector<float64, 16385>",
        f"vector<int8, {'9' * 5000}>",
        "struct<a: int8, A: int8>",
        "struct<1: int8>",
        "struct<" + "a: int8, " * 20_000,
    ],
)
def test_what_nothing_holds_is_no_type_and_the_message_stays_short(text):
    with pytest.raises(UsageError, match="is no type") as caught:
        parse_type(text)
    assert len(str(caught.value)) < 500
