"""Which plan the sizes of history and spine lead to."""

import pytest

from asof.engine.planning import Asked


@pytest.mark.parametrize(
    ("spine", "rows", "plan"),
    [(2_000_000, 20_000, "numbered"), (1_000, 100, "whole"), (1_000, 50_000_000, "whole")],
)
def test_a_side_much_smaller_than_the_other_is_kept_small(spine, rows, plan) -> None:
    chosen = Asked(spine, rows, 7, late=False).at_once()
    assert chosen is not None
    assert chosen.plan == plan


@pytest.mark.parametrize(
    ("spine", "rows", "columns", "late", "per_key", "plan"),
    [
        (400_000, 4_000_000, 7, False, 10, "hash"),
        (400_000, 4_000_000, 7, False, 1_000, "whole"),
        (250_000, 500_000, 7, False, 10, "whole"),
        (30_000, 300_000, 300, False, 10, "hash"),
        (30_000, 300_000, 300, False, 1_000, "as-of"),
        (200_000, 2_000_000, 7, True, 100, "hash"),
        (200_000, 2_000_000, 7, True, 1_000, "as-of"),
    ],
)
def test_rows_a_key_features_and_late_rows_decide_between_the_others(spine, rows, columns, late, per_key, plan) -> None:
    asked = Asked(spine, rows, columns, late)
    assert asked.at_once() is None
    assert asked.by_pairs(spine * per_key).plan == plan
