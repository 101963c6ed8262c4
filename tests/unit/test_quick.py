"""Where online answers are given."""

from asof.server.quick import FEW_KEYS, LOOK_AGAIN, QUICK_SECONDS, Quick


def test_what_is_not_known_yet_is_measured():
    assert Quick().way("v", 1) == Quick().way("v", 10_000) == "here"


def test_few_keys_of_a_quick_view_are_answered_here_and_many_beside():
    quick = Quick()
    quick.took("v", 100, 10 * QUICK_SECONDS)
    assert quick.way("v", FEW_KEYS) == "here"
    assert quick.way("v", FEW_KEYS + 1) == "beside"


def test_a_slow_view_is_answered_in_threads_and_looked_at_again():
    quick = Quick()
    quick.took("v", 1, 100 * QUICK_SECONDS)  # the first answer compiles
    ways = [quick.way("v", 1) for _ in range(LOOK_AGAIN)]
    assert ways == ["in threads"] * (LOOK_AGAIN - 1) + ["here"]
    quick.took("v", 1, QUICK_SECONDS / 10)
    assert quick.way("v", 1) == "here"


def test_one_answer_that_was_held_up_changes_nothing_and_two_in_a_row_do():
    quick = Quick()
    quick.took("v", 1, QUICK_SECONDS / 10)
    quick.took("v", 1, 1000 * QUICK_SECONDS)
    assert quick.way("v", 1) == "here"
    quick.took("v", 1, QUICK_SECONDS / 10)
    quick.took("v", 1, 1000 * QUICK_SECONDS)
    assert quick.way("v", 1) == "here"
    quick.took("v", 1, 1000 * QUICK_SECONDS)
    assert quick.way("v", 1) == "in threads"


def test_one_slow_answer_among_quick_ones_changes_nothing():
    quick = Quick()
    for _ in range(5):
        quick.took("v", 1, QUICK_SECONDS / 10)
    quick.took("v", 1, 5 * QUICK_SECONDS)
    assert quick.way("v", 1) == "here"
    quick.took("v", 1, 50 * QUICK_SECONDS)
    assert quick.way("v", 1) == "in threads"
    assert quick.way("another", 1) == "here"
