"""The oracle, held to examples computed by hand and to the laws that can be checked on it alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.testing.reference import Answer, Group, Reference, Row, Stored, canonical
from asof.testing.strategies import SKEW_US, Case, History, cases, histories, instants, play

K = ("k",)


def row(event_time: int | None, x: object = None, key: tuple[object, ...] = K, arrival: int | None = None) -> Row:
    return Row(key, event_time, {"x": x}, arrival=arrival)


def retirement(event_time: int | None) -> Row:
    return Row(K, event_time, {}, retired=True)


def empty(*, static: bool = False, ttl_us: int | None = None, delay_us: int = 0) -> Reference:
    return Reference(Group(("x",), static=static, ttl_us=ttl_us, delay_us=delay_us))


def at(reference: Reference, t: int, known: object = "served", pin: int | None = None) -> object:
    """Value if PRESENT, else the status."""
    answer = reference.answer(K, t, known=known, pin=pin)["x"]
    return answer.value if answer.status == "PRESENT" else answer.status


# Clocks


def test_committed_at_is_now_or_just_after_the_last_commit_or_the_greatest_event_time() -> None:
    ref = empty()
    for now, event_time in [(100, 50), (100, 50), (90, 50), (110, 150), (120, 50), (500, 50)]:
        ref.commit("write", [row(event_time)], now=now)
    assert [ref.committed_at(n) for n in range(1, 7)] == [100, 101, 102, 150, 151, 500]


def test_commit_numbers_may_have_gaps_and_groups_written_together_share_a_clock() -> None:
    ref = empty()
    assert ref.commit("write", [row(10)], now=100, number=7, committed_at=130) == 7
    assert ref.commit("write", [row(10)], now=100) == 8
    assert ref.committed_at(8) == 131
    for refused in ({"number": 8}, {"committed_at": 131}):
        with pytest.raises(ValueError, match="after the last one"):
            ref.commit("write", now=100, **refused)


def test_available_at_of_live_rows_is_committed_at() -> None:
    ref = empty(delay_us=5)
    ref.commit("write", [row(10)], now=100)
    ref.commit("push", [row(11)], now=100)
    ref.commit("retire", [retirement(12)], now=100)
    assert [stored.available_at for stored in ref.rows()] == [100, 101, 102]


def test_available_at_of_backfilled_rows_is_event_time_plus_delay_or_recorded_at_most_committed_at() -> None:
    ref = empty(delay_us=5)
    ref.commit("backfill", [row(10), row(98)], now=100)
    ref.commit("backfill", [row(10, arrival=70), row(50, arrival=40)], now=200)
    assert [stored.available_at for stored in ref.rows()] == [15, 100, 70, 40]
    with pytest.raises(ValueError, match="not later than now"):
        ref.commit("backfill", [row(10, arrival=301)], now=300)


# Look-up


def test_event_time_equal_to_t_counts() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0)], now=100)
    assert [at(ref, t) for t in (9, 10, 11)] == ["MISSING", 1.0, 1.0]


def test_event_time_at_t_minus_ttl_is_expired() -> None:
    ref = empty(ttl_us=5)
    ref.commit("backfill", [row(10, 1.0)], now=100)
    assert [at(ref, t) for t in (14, 15, 16)] == [1.0, "EXPIRED", "EXPIRED"]
    assert ref.answer(K, 15, known="served") == {"x": Answer(None, "EXPIRED", 10)}


def test_served_sees_a_row_from_available_at_and_event_sees_it_from_event_time() -> None:
    ref = empty()
    ref.commit("write", [row(10, 1.0)], now=100)
    assert [at(ref, t) for t in (10, 99, 100)] == ["MISSING", "MISSING", 1.0]
    assert [at(ref, t, "event") for t in (9, 10)] == ["MISSING", 1.0]


def test_k_bounds_what_was_known_and_t_bounds_event_time() -> None:
    ref = empty()
    ref.commit("write", [row(10, 1.0)], now=100)
    ref.commit("write", [row(10, 2.0)], now=200)
    assert [at(ref, 10, k) for k in (99, 100, 199, 200)] == ["MISSING", 1.0, 1.0, 2.0]
    assert at(ref, 9, 200) == "MISSING"


def test_newest_is_event_time_then_commit_so_late_rows_lose_and_corrections_win() -> None:
    ref = empty()
    ref.commit("write", [row(20, 1.0)], now=100)
    ref.commit("write", [row(10, 2.0)], now=110)  # late
    ref.commit("write", [row(20, 3.0)], now=120)  # correction
    assert [at(ref, t) for t in (100, 110, 119, 120)] == [1.0, 1.0, 1.0, 3.0]
    assert at(ref, 15, "event") == 2.0


def test_the_newest_row_wins_with_its_nulls() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0), row(20, None)], now=100)
    assert ref.answer(K, 30, known="served") == {"x": Answer(None, "NULL", 20)}


def test_nan_is_a_value() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, float("nan"))], now=100)
    assert ref.answer(K, 30, known="served") == {"x": Answer(math.nan, "PRESENT", 10)}


def test_null_and_unknown_keys_are_missing() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0, key=("a", 1))], now=100)
    for key in [("a", None), (None, None), ("a", 2)]:
        assert ref.answer(key, 30, known="event") == {"x": Answer(None, "MISSING", None)}
    with pytest.raises(ValueError, match="null"):
        ref.commit("write", [row(10, 1.0, key=("a", None))], now=100)


def test_a_pin_sees_no_later_commit() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0)], now=100)
    ref.commit("backfill", [row(10, 2.0)], now=110)
    assert [at(ref, 50, pin=pin) for pin in (0, 1, 2, None)] == ["MISSING", 1.0, 2.0, 2.0]
    assert [stored.values["x"] for stored in ref.rows(pin=1)] == [1.0]


def test_a_static_group_orders_by_commit_and_backfilled_rows_are_always_available() -> None:
    ref = empty(static=True)
    ref.commit("write", [row(None, 1.0)], now=100)
    ref.commit("backfill", [row(None, 2.0)], now=200)
    ref.commit("write", [row(None, 3.0)], now=300)
    assert [at(ref, t) for t in (1, 100, 299, 300)] == [2.0, 2.0, 2.0, 3.0]
    assert [at(ref, 1, k) for k in (1, 299, 300)] == [2.0, 2.0, 3.0]
    assert at(ref, 1, "event") == 3.0
    assert at(ref, 150, pin=1) == 1.0
    assert ref.answer(K, 300, known="served")["x"].event_time is None
    with pytest.raises(ValueError, match="no ttl"):
        empty(static=True, ttl_us=5)


# Duplicates


def test_equal_duplicates_collapse_also_nan_and_minus_zero() -> None:
    for one, other in [(1.0, 1.0), (float("nan"), -float("nan")), (0.0, -0.0), (None, None)]:
        ref = empty()
        ref.commit("write", [row(10, one), row(10, other)], now=100)
        (stored,) = ref.rows()
        assert stored.values == {"x": canonical(one)}
    assert math.copysign(1, canonical(-0.0)) == 1.0  # type: ignore[arg-type]


def test_different_duplicates_are_refused_and_nothing_is_stored_unless_last_is_asked_for() -> None:
    ref = empty()
    rows = [row(10, 1.0), row(10, None), row(10, 2.0)]
    with pytest.raises(ValueError, match="one key and time"):
        ref.commit("write", rows, now=100)
    assert ref.rows() == []
    assert ref.commit("write", rows, now=100, on_conflict="last") == 1
    assert [stored.values["x"] for stored in ref.rows()] == [2.0]


def test_equal_rows_keep_the_earliest_arrival() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0, arrival=30), row(10, 1.0, arrival=20)], now=100)
    ref.commit(
        "backfill",
        [row(10, 2.0, arrival=50), row(10, 1.0, arrival=5), row(10, 2.0, arrival=60)],
        now=100,
        on_conflict="last",
    )
    assert [(stored.values["x"], stored.available_at) for stored in ref.rows()] == [(1.0, 20), (2.0, 50)]


# Retire and retract


def test_a_retirement_competes_like_a_row_and_comes_before_ttl() -> None:
    ref = empty(ttl_us=5)
    ref.commit("backfill", [row(10, 1.0), row(30, 2.0)], now=50)
    ref.commit("retire", [retirement(20)], now=100)
    assert [at(ref, t, "event") for t in (14, 15, 20, 29, 30, 35)] == [
        1.0, "EXPIRED", "RETIRED", "RETIRED", 2.0, "EXPIRED",
    ]  # fmt: skip
    assert at(ref, 29) == "EXPIRED"  # the retirement was not known before 100
    assert ref.answer(K, 20, known="event") == {"x": Answer(None, "RETIRED", 20)}


def test_a_static_retirement_competes_by_commit() -> None:
    ref = empty(static=True)
    ref.commit("write", [row(None, 1.0)], now=100)
    ref.commit("retire", [retirement(None)], now=200)
    ref.commit("write", [row(None, 2.0)], now=300)
    assert [at(ref, t) for t in (100, 200, 300)] == [1.0, "RETIRED", 2.0]


@pytest.mark.parametrize("kind", ["write", "push"])
def test_a_retracted_live_row_was_served_until_the_retract(kind: str) -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0)], now=50)
    ref.commit(kind, [row(20, 2.0)], now=100)
    ref.commit("retract", target=2, now=200)
    assert [at(ref, t) for t in (99, 100, 199, 200)] == [1.0, 2.0, 2.0, 1.0]
    assert [at(ref, 20, k) for k in (99, 100, 199, 200)] == [1.0, 2.0, 2.0, 1.0]
    assert at(ref, 150, "event") == 1.0
    assert [at(ref, 300, mode, pin=2) for mode in ("served", "event", 300)] == [2.0, 2.0, 2.0]
    assert [stored.commit for stored in ref.rows()] == [1]
    assert [stored.commit for stored in ref.rows(pin=2)] == [1, 2]


def test_a_retracted_backfill_was_never_there() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0)], now=50)
    ref.commit("retract", target=1, now=200)
    for known in ("served", "event", 100):
        assert at(ref, 100, known) == "MISSING"
        assert at(ref, 100, known, pin=1) == 1.0


def test_a_retracted_retirement_ends_nothing() -> None:
    ref = empty()
    ref.commit("backfill", [row(10, 1.0)], now=50)
    ref.commit("retire", [retirement(20)], now=100)
    ref.commit("retract", target=2, now=200)
    assert [at(ref, t) for t in (100, 199, 200)] == ["RETIRED", "RETIRED", 1.0]


def test_a_retract_of_a_retract_or_of_nothing_is_refused() -> None:
    ref = empty()
    ref.commit("write", [row(10, 1.0)], now=50)
    ref.commit("retract", target=1, now=60)
    for target in (2, 3):
        with pytest.raises(ValueError, match="retract"):
            ref.commit("retract", target=target, now=70)


# Online


def test_online_clock_is_never_before_the_last_applied_commit() -> None:
    ref = empty()
    ref.commit("push", [row(10, 1.0)], now=100)
    ref.commit("push", [row(20, 2.0)], now=100)
    assert ref.online(K, 90) == (101, {"x": Answer(2.0, "PRESENT", 20)})
    assert ref.online(K, 90, pin=1) == (100, {"x": Answer(1.0, "PRESENT", 10)})
    assert ref.online(K, 500)[0] == 500


@given(histories(), st.data())
def test_law_3_an_online_store_is_a_fold_of_newest_wins_puts(history: History, data: st.DataObject) -> None:
    """The rules of section 3 (put if newer; a retract recomputes) give the same without available_at."""
    ref, pin = play(history), data.draw(st.integers(0, len(history.ops)))
    now = data.draw(st.sampled_from(instants(history)))
    head: dict[object, Stored] = {}
    for number, op in enumerate(history.ops[:pin], 1):
        visible = ref.rows(pin=number)
        if op.kind == "retract":
            head = {}
        for put in visible if op.kind == "retract" else [s for s in visible if s.commit == number]:
            head[put.key] = max(put, head.get(put.key, put), key=lambda s: (s.event_time or 0, s.commit))
    for key in {stored.key for stored in ref.rows(retracted=True)}:
        t, answers = ref.online(key, now, pin)
        for name, answer in answers.items():
            assert answer == read(head.get(key), name, t, history.group.ttl_us)


def read(stored: Stored | None, name: str, t: int, ttl_us: int | None) -> Answer:
    if stored is None:
        return Answer(None, "MISSING", None)
    value, event_time = stored.values[name], stored.event_time
    if stored.retired:
        return Answer(None, "RETIRED", event_time)
    if ttl_us is not None and event_time is not None and t - event_time >= ttl_us:
        return Answer(None, "EXPIRED", event_time)
    return Answer(value, "NULL" if value is None else "PRESENT", event_time)


@given(cases(), st.randoms(use_true_random=False))
def test_law_1_shuffling_the_rows_of_a_commit_changes_nothing(case: Case, random: object) -> None:
    def shuffled(rows: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(random.sample(rows, len(rows)))  # type: ignore[attr-defined]

    ops = [op if op.on_conflict == "last" else replace(op, rows=shuffled(op.rows)) for op in case.history.ops]
    one, other = play(case.history), play(replace(case.history, ops=tuple(ops)))
    for key, t in case.spine:
        assert one.answer(key, t, known=case.known, pin=case.pin) == other.answer(
            key, t, known=case.known, pin=case.pin
        )


@given(cases(kinds=("write", "push", "retire")))
def test_live_rows_never_change_an_earlier_served_answer(case: Case) -> None:
    ref = play(case.history)
    for number in range(1, len(case.history.ops) + 1):
        for key, t in case.spine:
            if t < ref.committed_at(number):
                assert ref.answer(key, t, known="served", pin=number) == ref.answer(
                    key, t, known="served", pin=number - 1
                )


@given(histories())
def test_no_row_lies_in_its_commits_future(history: History) -> None:
    ref = play(history)
    clocks = [ref.committed_at(number) for number in range(1, len(history.ops) + 1)]
    assert clocks == sorted(set(clocks))
    for stored in ref.rows(retracted=True):
        assert (stored.event_time or 0) <= clocks[stored.commit - 1]
        assert (stored.available_at or 0) <= clocks[stored.commit - 1]
        assert (stored.event_time or 0) <= history.ops[stored.commit - 1].now + SKEW_US
