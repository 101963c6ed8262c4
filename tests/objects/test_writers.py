"""Whose unpublished objects are debris: of writers on this machine, and on others."""

import os
import signal
from datetime import timedelta

import pytest

from asof.offline import objects
from asof.offline.delta import DeltaHistory
from asof.testing.history import rows_of, table_of
from asof.testing.processes import exit_code_of


@pytest.fixture
def on(bucket, tmp_path, monkeypatch):
    """Give a function that opens the history on a machine."""
    every = []

    def on(machine):
        monkeypatch.setenv("ASOF_CACHE", str(tmp_path / machine))
        every.append(DeltaHistory(bucket))
        return every[-1]

    yield on
    for history in every:
        history.close()


def _stage_and_die(bucket):
    DeltaHistory(bucket).stage(table_of(), rows_of(5))
    os.kill(os.getpid(), signal.SIGKILL)


def test_files_of_a_writer_on_another_machine_are_no_debris_before_it_ends(on):
    here, there = on("here"), on("there")
    (file,) = there.stage(table_of(), rows_of(5))
    assert here.debris(()) == []
    there.close()
    assert here.debris(()) == [file.path]
    assert here.debris([file.path]) == []


@pytest.mark.slow
def test_of_a_writer_that_died_its_machine_knows_at_once_and_others_after_a_day(on, bucket, monkeypatch):
    there = on("there")
    exit_code_of(_stage_and_die, bucket)
    here = on("here")
    assert here.debris(()) == []
    monkeypatch.setattr(objects, "LEASE", timedelta(0))
    (debris,) = here.debris(())
    monkeypatch.setattr(objects, "LEASE", timedelta(hours=24))
    assert there.debris(()) == [debris]
    there.discard([debris])
    assert here.debris(()) == []


def test_a_writer_that_goes_on_is_announced_again(on, proxy, monkeypatch):
    history = on("here")
    history.stage(table_of(), rows_of(5))

    def announced():
        return [path for method, path in proxy.requests if method == "PUT" and "/writers/" in path]

    history.stage(table_of(), rows_of(5))
    assert len(announced()) == 1
    monkeypatch.setattr(objects, "RENEWED_SECONDS", -1.0)
    history.stage(table_of(), rows_of(5))
    assert len(announced()) == 2
