"""`explain` tells what the engine did: its answering row is that of history and of the oracle, each reason is true."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof.clock import from_us, to_us
from asof.testing.reference import Reference, Stored, canonical
from asof.testing.strategies import FEATURE_TYPES, Case, cases

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

some = settings(max_examples=settings().max_examples // 4)


def true_reason(row: Stored, reference: Reference, t: int, known, pin) -> str:
    """Give why a row does not answer, by the oracle's rows and clocks; "older" for candidates."""
    if pin is not None and row.commit > pin:
        return "not in the pins"
    if reference.is_candidate(row, t, known=known, pin=pin):
        return "older"
    if not any(row is kept for kept in reference.rows(pin)):  # retracted in the pins
        clocks = reference._retracts(row, pin)
        if known == "event" or row.kind == "backfill" or clocks[0] <= (t if known == "served" else known):
            return "retracted"
    return "in the future" if row.event_time is not None and row.event_time > t else "not yet available"


@some
@given(case=cases(max_ops=5), data=st.data())
def test_explain_names_the_row_that_answers_and_a_true_reason_for_every_other(bench, case: Case, data) -> None:
    spine = [row for row in case.spine if None not in row[0]]
    if not spine:
        return
    key, t = data.draw(st.sampled_from(spine))
    known = from_us(case.known) if isinstance(case.known, int) else case.known
    with bench.played(case.history) as (played,):
        number = {commit.number: place for place, commit in enumerate(played.commits, 1)}
        action = data.draw(st.sampled_from(["leave", "compact", "seal"]))
        if action == "compact":
            bench.store.compact(played.name)
        elif action == "seal":
            bench.store._writer.upkeep.seal(bench.store._parts.registry.group(played.name))
        pins = played.pins(case.pin)
        explanation = bench.store.quality.explain(
            played.name, played.key_set(key), at=from_us(t), known=known, commits=pins, limit=1000
        )
        frame = bench.store.historical(
            played.name, played.spine([(key, t)]), time="t", known=known, commits=pins, statuses=True
        )
        (row,) = frame.to_arrow().to_pylist()
        (found,) = explanation.lookups
        assert explanation.at == from_us(t)
        for name in FEATURE_TYPES:
            answer = [canonical(found.values[name]), found.statuses[name]]
            assert answer == [canonical(row[name]), row[f"{name}__status"]]

        mine = [stored for stored in played.reference.rows(retracted=True) if stored.key == key]
        reasons = {
            (stored.event_time, stored.commit): true_reason(stored, played.reference, t, case.known, case.pin)
            for stored in mine
        }
        candidates = [place for place, reason in reasons.items() if reason == "older"]
        newest = max(candidates, key=lambda place: (place[0] or 0, place[1]), default=None)

        def place(version) -> tuple[int | None, int]:
            event = None if version.event_time is None else to_us(version.event_time)
            return event, number[version.commit.number]

        assert (found.answer and place(found.answer)) == newest
        assert {place(other): other.reason for other in found.others} == {
            key: reason for key, reason in reasons.items() if key != newest
        }
        assert sum(found.counts.values()) == len(found.others) == len(mine) - (newest is not None)
        stored_as = {(stored.event_time, stored.commit): stored for stored in mine}
        paths = bench.store._parts.log.files()  # replaced ones too: the background may have merged them since
        for version in [*found.others, *([found.answer] if found.answer else [])]:
            stored = stored_as[place(version)]
            assert canonical(list(version.values.values())) == list(stored.values.values())
            assert version.retired == stored.retired
            assert version.available_at == (None if stored.available_at is None else from_us(stored.available_at))
            assert version.commit == played.commits[stored.commit - 1]
            assert version.file in paths or version.file == "journal"
            retracts = played.reference._retracts(stored, None)
            assert [to_us(c.committed_at) for c in filter(None, [version.retracted_by])] == retracts
        assert str(explanation)
