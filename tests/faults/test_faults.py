"""A fault at any operation of the write path loses nothing, doubles nothing and tears nothing; a seed is a run.

ASOF_FAULT_SEED=17 runs one seed again and shows what it did.
"""

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

RUNS = Path(__file__).parent / "runs.py"
PROCESSES = 2
ONE = os.environ.get("ASOF_FAULT_SEED", "")


@pytest.fixture(scope="module")
def operations():
    """Give the operations at which faults fire."""
    spec = importlib.util.spec_from_file_location("asof_fault_runs", RUNS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.OPERATIONS


def start(first, last, step=1):
    command = [sys.executable, str(RUNS), str(first), str(last), str(step)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output_of(process):
    told, _ = process.communicate()
    assert process.returncode == 0, told
    return told


def run_all(seeds, operations):
    """Run seeds, and see that each fault fired and that every operation had its turn."""
    started = [start(seeds.start + place, seeds.stop, PROCESSES) for place in range(PROCESSES)]
    lines = [line.split() for process in started for line in output_of(process).splitlines()]
    assert sorted(int(seed) for seed, *_ in lines) == list(seeds)
    assert {operation for _, _, _, operation in lines} == set(operations)
    print(Counter(way for _, way, *_ in lines))  # noqa: T201 - what was hit


@pytest.mark.begun_first
@pytest.mark.slow
@pytest.mark.skipif(ONE != "", reason="one seed was asked for")
def test_a_hundred_faults_lose_nothing_and_double_nothing(operations):
    run_all(range(100), operations)


@pytest.mark.long
@pytest.mark.skipif(ONE != "", reason="one seed was asked for")
@pytest.mark.parametrize("first", range(0, 2000, 250))
def test_two_thousand_faults_lose_nothing_and_double_nothing(operations, first):
    run_all(range(first, first + 250), operations)


@pytest.mark.slow
def test_a_seed_means_one_run():
    seed = int(ONE or 5)
    told = [output_of(process) for process in [start(seed, seed + 1), start(seed, seed + 1)]]
    print(told[0])  # noqa: T201 - what it did
    assert told[0] == told[1]
