"""A verification, stage by stage.

The pinned history of the groups is read into memory. Its rows are encoded as for the online store and put, newest wins,
into one in memory, in the order in which they became visible, under a clock that moves. When the clock stands at T,
sampled keys are read through the code that serves, and compared with history. The store's own online store has no part
in that.

Then today's online values are compared with history at the commits that are applied, and what was really served, as
the serving log tells it, with history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asof.errors import DataError, UsageError
from asof.online.port import Applied
from asof.parts import Parts, Question, open_online, resolve
from asof.progress import Progress, unheard
from asof.quality.verify.compare import Asked, Tally, from_history, pinned_to, plain_cause
from asof.quality.verify.feed import Feed, feed_of
from asof.quality.verify.result import StageName, Verification
from asof.quality.verify.sample import instants_of, key_pool, sample, sample_requests
from asof.quality.verify.served import compare_served
from asof.serving.online import OnlineReader

INSTANTS = 40
KEYS = 50
LOGGED = 500

MOST = 1_000_000
"""Of keys, instants, or logged answers; each look costs some microseconds."""


def checked_count(what: str, number: object) -> None:
    """Refuse what is no number of things to look at.

    Raises:
        UsageError: It is no whole number from 0 (logged) or 1 to a million.
    """
    least = 0 if what == "logged" else 1
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= MOST:
        raise UsageError(f"{what}={number!r} is no number of things to look at", todo=f"pass {least} to {MOST:,}")


def verify(  # noqa: PLR0913 - the words of `Store.verify`
    parts: Parts,
    name: str,
    *,
    instants: int = INSTANTS,
    keys: int = KEYS,
    logged: int = LOGGED,
    seed: int = 0,
    progress: Progress = unheard,
) -> Verification:
    """Compare online with history; see `Store.verify`."""
    for what, number in (("instants", instants), ("keys", keys), ("logged", logged)):
        checked_count(what, number)
    question = resolve(parts, name)
    online = OnlineReader(parts)
    online.plan(name)  # refuses a view with offline groups
    random = np.random.default_rng(seed)
    tally = Tally()
    with parts.online.snapshot() as snapshot:
        applied = dict(snapshot.applied)
    commits = {group.ref: applied.get(group.id, Applied()).commit for group in question.groups.values()}
    pinned = pinned_to(parts, question, commits)
    feeds = {g: feed_of(parts, group, pinned[g]) for g, group in question.groups.items()}
    times = instants_of(feeds.values(), random, instants, parts.now_us())
    pool = key_pool(question.view, feeds, random)
    steps = _Steps(len(times) + 3, progress)
    asker = _Asker(question, random, tally)
    asked = _replayed(parts, asker, feeds, [(t_us, sample(pool, random, keys)) for t_us in times], steps)
    tally.compare("replay", asked, from_history(parts, question, asked, pinned), plain_cause(asked))
    steps.done()
    _today(parts, asker, sample(pool, random, keys))
    steps.done()
    compare_served(parts, question, tally, random, logged)
    steps.done()
    return Verification(
        question.ref,
        sum(tally.compared.values()),
        len(times),
        keys,
        sum(feed.total for feed in feeds.values()),
        tally.statuses,
        tuple(tally.differences),
        tally.stages(),
    )


@dataclass(frozen=True, slots=True)
class _Asker:
    """Reads keys online, with made-up inputs where the view wants some of a request."""

    question: Question
    random: np.random.Generator
    tally: Tally

    def ask(self, reader: OnlineReader, keys: Sequence[Mapping[str, Any]], stage: StageName) -> list[Asked]:
        """Return the answers, without those of which a function refuses the made-up inputs."""
        types = self.question.view.requests
        requests = sample_requests(types, self.random, len(keys)) if types else None
        found: list[Asked] = []
        for vector in reader.read_many(self.question.ref, keys, requests):
            try:
                found.append(Asked.of(vector))
            except DataError:
                if not types:
                    raise
                self.tally.skip(stage, "made-up request", 1)
        return found


def _replayed(
    parts: Parts,
    asker: _Asker,
    feeds: dict[str, Feed],
    sampled: list[tuple[int, list[dict[str, Any]]]],
    steps: "_Steps",
) -> list[Asked]:
    """Feed history into an online store in memory, and read keys when the clock stands at their T."""
    fresh = replace(parts, online=open_online("memory:"))
    clock = [0]
    reader = OnlineReader(fresh, lambda: clock[0])
    asked: list[Asked] = []
    for t_us, keys in sampled:
        clock[0] = t_us
        for feed in feeds.values():
            feed.advance(fresh, t_us)
        # The clock that was set, not that of the answer: they are the same, or else history must differ.
        asked += [replace(each, t_us=t_us) for each in asker.ask(reader, keys, "replay")]
        steps.done()
    return asked


def _today(parts: Parts, asker: _Asker, keys: Sequence[Mapping[str, Any]]) -> None:
    asked = asker.ask(OnlineReader(parts), keys, "today")
    if asked:
        rows = pinned_to(parts, asker.question, asked[0].commits)
        asker.tally.compare("today", asked, from_history(parts, asker.question, asked, rows), plain_cause(asked))


class _Steps:
    """Tells how far it is."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.total = total
        self.progress = progress
        self.reached = 0

    def done(self) -> None:
        """One more step is done."""
        self.reached += 1
        self.progress(self.reached, self.total)
