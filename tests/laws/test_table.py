"""No law goes without a property test: the laws of SEMANTICS section 9, and what holds them.

`python tests/laws/test_table.py` prints the table of docs/proof.md.
"""

import importlib.util
import inspect
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test

from asof.engine.duckdb import PLANS
from asof.testing.engine import EngineSuite

LAWS = {
    1: 'Shuffling the rows of a write changes nothing (unless on_conflict="last").',
    2: 'Rows with event_time > T, or under "served" with available_at > T, change no answer at T.',
    3: "An online answer at clock T from applied commits P equals history at T, served, pinned to P.",
    4: "Splitting a conflict-free write changes no answer after the last part; a retry with the same key changes nothing.",
    5: "Skipping unchanged rows changes no answer.",
    6: "Compaction, restart, crash and repair, rebuilding the online store: no answer changes.",
    7: "The spine's order, duplicates and batch size change no answer.",
    8: "Embedded, remote and distributed give the same answer.",
}

ELSEWHERE = {
    2: ("EngineSuite.test_rows_of_the_future_change_no_answer",),
    7: ("EngineSuite.test_the_order_of_the_spine_and_its_duplicates_change_no_answer",),
}
"""Property tests of the suites that every adapter runs, in tests/conformance."""

EVERY_LAW = (
    "test_machine.py::test_a_store_answers_as_the_oracle_after_every_step",
    "test_oracle.py::test_every_read_is_the_oracles_in_every_mode_and_at_every_pin",
    "test_oracle.py::test_online_answers_are_the_oracles_after_every_commit",
)
"""Tests that hold a store to the oracle, and with it to all laws at once."""

OTHER_ENGINES = (
    "test_engines.py::test_look_ups_are_the_same_on_every_engine",
    "test_engines.py::test_windows_are_the_same_to_the_bit_on_every_engine",
)
"""Tests that hold engines on other machines to law 8: they start once, and ask each of them and the oracle the same."""

HERE = Path(__file__).parent


def load(file: Path):
    spec = importlib.util.spec_from_file_location(f"looked_at_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tests():
    return found_here()


@pytest.fixture(scope="module")
def arrangements():
    return load(HERE / "conftest.py").ARRANGEMENTS


def found_here():
    """Return the tests of this folder, but for this file, by "file::name"."""
    files = [file for file in sorted(HERE.glob("test_*.py")) if file.name != Path(__file__).name]
    modules = {file.name: load(file) for file in files}
    return {
        f"{file}::{name}": value
        for file, module in modules.items()
        for name, value in vars(module).items()
        if name.startswith("test_")
    }


def of_law(tests, number):
    return {name: test for name, test in tests.items() if f"::test_law_{number}_" in name}


@pytest.mark.parametrize("number", LAWS)
def test_every_law_has_a_property_test_over_every_arrangement(tests, number):
    held = of_law(tests, number)
    properties = [test for test in held.values() if is_hypothesis_test(test)]
    assert properties, f"no property test is named test_law_{number}_..."
    for name, test in held.items():
        inner = getattr(test, "hypothesis", None)
        asks = inspect.signature(inner.inner_test if inner else test).parameters
        assert "bench" in asks, f"{name} does not run over the arrangements"


def test_every_test_of_a_law_is_of_a_law_that_there_is(tests):
    numbers = {name.partition("::test_law_")[2].partition("_")[0] for name in tests if "::test_law_" in name}
    assert numbers == {str(number) for number in LAWS}


def test_tests_that_are_named_elsewhere_are_there(tests):
    for names in ELSEWHERE.values():
        for name in names:
            assert is_hypothesis_test(getattr(EngineSuite, name.partition(".")[2]))
    assert set(EVERY_LAW) <= set(tests)


def test_every_online_store_every_plan_of_the_engine_and_every_registry_is_in_an_arrangement(arrangements):
    points = [point for point in entry_points(group="asof.online") if point.dist and point.dist.name == "asof"]
    adapters = {point.name: point.value for point in points}  # some have several names
    assert {adapters[name.partition(" ")[0]] for name in arrangements} == set(adapters.values())
    assert {engine.partition(":")[2] for _, engine, _ in arrangements.values()} == set(PLANS)
    assert {registry for *_, registry in arrangements.values()} == {"sqlite", "postgres_server", "mariadb_server"}


def test_engines_on_other_machines_are_held_to_law_8(tests):
    for name in OTHER_ENGINES:
        assert is_hypothesis_test(tests[name])


def table() -> str:
    tests, arrangements = found_here(), load(HERE / "conftest.py").ARRANGEMENTS
    lines = ["| law | tests | over | examples, default (long) |", "|---|---|---|---|"]
    over = ", ".join(f"{name} ({engine})" for name, (_, engine, _) in arrangements.items())
    for number, law in LAWS.items():
        names = [name.partition("::")[2] for name, test in of_law(tests, number).items() if is_hypothesis_test(test)]
        names += ELSEWHERE.get(number, ())
        names += [name.partition("::")[2] for name in OTHER_ENGINES] if number == 8 else []
        lines.append(f"| {number}. {law} | {'<br>'.join(f'`{name}`' for name in names)} | {over} | 30 (3,000) each |")
    lines.append(f"| all | {'<br>'.join(f'`{name}`' for name in EVERY_LAW)} | {over} | 30 (3,000); machine 10 (600) |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201 - what it is for
