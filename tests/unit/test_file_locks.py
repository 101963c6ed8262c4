import os
import signal

import pytest

from asof import file_locks
from asof.file_locks import HeldFile, turn


@pytest.fixture
def forked():
    """A way to have a child that lives with everything that this process has open."""
    children = []

    def fork():
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)

    yield fork
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_turn_that_ends_is_over_though_a_child_was_forked_within(tmp_path, forked):
    with turn(tmp_path) as ours:
        assert ours
        forked()
        with turn(tmp_path, wait=False) as theirs:
            assert not theirs
    with turn(tmp_path, wait=False) as ours:
        assert ours


def test_a_turn_that_fails_is_over(tmp_path):
    with pytest.raises(RuntimeError), turn(tmp_path):
        raise RuntimeError
    with turn(tmp_path, wait=False) as ours:
        assert ours


def test_a_turn_at_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), turn(tmp_path / "none"):
        pass


def test_a_held_file_is_let_go_of_though_a_child_was_forked(tmp_path, forked):
    held = HeldFile(tmp_path / "f")
    forked()
    assert file_locks.is_held(tmp_path / "f")
    with pytest.raises(BlockingIOError):
        HeldFile(tmp_path / "f")
    held.close()
    held.close()
    assert not file_locks.is_held(tmp_path / "f")
    HeldFile(tmp_path / "f").close()


def test_nothing_is_not_held(tmp_path):
    assert not file_locks.is_held(tmp_path / "none")
