"""The thread that cuts connections: one while something waits, none after, and another one in a child."""

import multiprocessing
import threading
import time

from asof.online.deadlines import IDLE_SECONDS, Deadlines


def threads():
    return [each for each in threading.enumerate() if each.name == "asof-deadlines"]


def cuts(deadlines):
    """Return whether a block that lasts too long is cut."""
    cut = threading.Event()
    with deadlines.cutting(cut.set, time.monotonic() + 0.05):
        return cut.wait(10)


def test_the_thread_ends_when_nothing_waits_and_is_started_again():
    deadlines, called = Deadlines(), []
    for _ in range(2):
        before = threads()
        assert cuts(deadlines)
        (own,) = [each for each in threads() if each not in before]
        with deadlines.cutting(lambda: called.append(1), time.monotonic() + 0.02):
            pass
        own.join(IDLE_SECONDS + 10)
        assert not own.is_alive()
        assert not called


def test_many_that_begin_at_once_share_a_thread():
    deadlines, before = Deadlines(), len(threads())
    everyone = threading.Barrier(8)
    made = []

    def wait():
        everyone.wait(10)
        with deadlines.cutting(lambda: None, time.monotonic() + 60):
            everyone.wait(10)
            made.append(len(threads()) - before)

    askers = [threading.Thread(target=wait) for _ in range(8)]
    for each in askers:
        each.start()
    for each in askers:
        each.join(20)
    assert made == [1] * 8


def _in_child(deadlines, told):
    told.put(cuts(deadlines))


def test_a_forked_child_has_a_thread_of_its_own():
    deadlines = Deadlines()
    assert cuts(deadlines)
    forked = multiprocessing.get_context("fork")
    told = forked.Queue()
    child = forked.Process(target=_in_child, args=(deadlines, told))
    child.start()
    assert told.get(timeout=20)
    child.join(20)
