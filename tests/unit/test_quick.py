"""Which views are answered on the event loop."""

from asof.server.quick import LOOK_AGAIN, QUICK_SECONDS, Quick


def test_a_view_is_quick_until_its_answers_are_slow_and_again_when_they_are_not():
    quick = Quick()
    assert quick.is_quick("v")
    quick.took("v", 100 * QUICK_SECONDS)  # the first one compiles
    assert [quick.is_quick("v") for _ in range(LOOK_AGAIN)] == [False] * (LOOK_AGAIN - 1) + [True]
    quick.took("v", QUICK_SECONDS / 10)
    assert quick.is_quick("v")


def test_one_slow_answer_among_quick_ones_changes_nothing():
    quick = Quick()
    for _ in range(5):
        quick.took("v", QUICK_SECONDS / 10)
    quick.took("v", 5 * QUICK_SECONDS)
    assert quick.is_quick("v")
    quick.took("v", 50 * QUICK_SECONDS)
    assert not quick.is_quick("v")
    assert quick.is_quick("another")
