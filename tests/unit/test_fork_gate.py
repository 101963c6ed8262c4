"""A fork waits for what must not be cut in two: a child would find its locks held for ever."""

import os
import signal
import threading
import time

import asof
from asof import forks


def test_children_of_a_process_with_busy_threads_open_stores(tmp_path):
    asof.open(tmp_path / "s").close()
    over = threading.Event()

    def busy():
        with asof.open(tmp_path / "s") as store:
            while not over.is_set():
                store.catalog.commits()

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if not child:
                signal.alarm(60)
                with asof.open(tmp_path / "s") as store:
                    os._exit(len(store.catalog.commits()))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_fork_waits_for_work_and_work_for_the_fork():
    gate, events, inside, go = forks.Gate(), [], threading.Event(), threading.Event()

    def work(name):
        with gate, gate:
            events.append(name)
            inside.set()
            go.wait(10)

    def fork():
        gate.close()
        events.append("forked")
        gate.open()

    first = threading.Thread(target=work, args=("first",))
    first.start()
    assert inside.wait(10)
    forking = threading.Thread(target=fork)
    forking.start()
    while not gate._forking:
        time.sleep(0.001)
    second = threading.Thread(target=work, args=("second",))
    second.start()
    time.sleep(0.05)
    assert events == ["first"]
    go.set()
    for thread in (first, forking, second):
        thread.join(10)
    assert events == ["first", "forked", "second"]


def test_a_fork_within_work_waits_for_nobody_and_work_that_never_ends_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(forks, "PATIENCE", 0.05)
    gate = forks.Gate()
    with gate:
        gate.close()
        gate.open()
        gate.begin_anew()
    assert gate._within == 0
    threading.Thread(target=gate.__enter__).start()
    time.sleep(0.05)
    gate.close()
    gate.open()
