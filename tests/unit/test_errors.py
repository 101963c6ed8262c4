"""What errors say."""

import pytest

from asof.errors import NotFoundError


@pytest.mark.parametrize(
    ("kind", "several"),
    [("key", "keys"), ("entity", "entities"), ("group", "groups"), ("view or group", "views or groups")],
)
def test_known_names_are_told_in_the_plural(kind, several):
    assert NotFoundError.named(kind, "zzz", ["abc"]).todo == f"known {several}: abc"
