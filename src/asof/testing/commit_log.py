"""The conformance suite of the commit log port.

class TestSqliteLog(CommitLogSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from asof.errors import AsofError, ConflictError, NotFoundError, UsageError
from asof.records import Commit, DataFile, Draft, Stamp, Totals
from asof.registry.port import CommitLog, Metadata, Registry, StaleDefinitionsError
from asof.registry.registered import RegisteredGroup
from asof.testing.processes import in_processes
from asof.testing.registry import NOW_US, OpensRegistry, group_of


class CommitLogSuite(OpensRegistry):
    """What every commit log must do; see `asof.registry.port.CommitLog`."""

    @pytest.fixture
    def log(self, both: Metadata) -> CommitLog:
        """Give the log of a registry with the groups g and h."""
        both.registry.apply([group_of("g"), group_of("h")], now_us=NOW_US)
        return both.log

    @pytest.fixture
    def g(self, log: CommitLog, registry: Registry) -> RegisteredGroup:
        """Give a group."""
        del log
        return registry.group("g")

    @pytest.fixture
    def h(self, log: CommitLog, registry: Registry) -> RegisteredGroup:
        """Give another group."""
        del log
        return registry.group("h")

    # ---- publish

    def test_a_commit_has_the_next_number_and_what_its_draft_said(self, log: CommitLog, g: RegisteredGroup) -> None:
        draft = Draft(
            g.id,
            "backfill",
            availability="column",
            rows=3,
            min_event_us=5,
            max_event_us=7,
            idempotency_key="once",
            digest="d",
            unchanged=1,
            quarantined=2,
            meta={"source": "ü"},
        )
        commit = published(log, draft)
        assert (commit.id, commit.kind, commit.availability, commit.rows) == ("g@1:1", "backfill", "column", 3)
        assert (commit.min_event_us, commit.max_event_us, commit.meta) == (5, 7, {"source": "ü"})
        assert (commit.unchanged, commit.quarantined, commit.idempotency_key) == (1, 2, "once")
        assert (commit.committed_at_us, commit.repeated) == (NOW_US, False)
        assert log.commits(g) == [commit]

    def test_a_commit_says_who_the_writer_was(self, log: CommitLog, g: RegisteredGroup) -> None:
        (answer,) = log.publish([[Draft(g.id, "write")]], clock=lambda: NOW_US, writer="ana@host")
        assert not isinstance(answer, AsofError)
        assert [commit.writer for commit in (*answer, *log.commits(g))] == ["ana@host"] * 2

    def test_nothing_is_published_under_definitions_that_changed(
        self, log: CommitLog, g: RegisteredGroup, both: Metadata
    ) -> None:
        generation = both.registry.generation()
        drafts = [[Draft(g.id, "write")]]
        assert len(log.publish(drafts, clock=lambda: NOW_US, generation=generation)) == 1
        both.registry.apply([group_of("g", "added")], now_us=NOW_US)
        with pytest.raises(StaleDefinitionsError):
            log.publish(drafts, clock=lambda: NOW_US, generation=generation)
        assert len(log.commits(g)) == 1

    def test_commits_of_several_groups_come_from_one_state(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        for _ in range(3):
            log.publish([[Draft(g.id, "write"), Draft(h.id, "write")]], clock=lambda: NOW_US)
        found = log.commits_together([(g, 1), (h, 3), (g, 0)])
        assert found == [log.commits(g, after=1), [], log.commits(g)]

        def publish() -> None:
            for _ in range(60):
                log.publish([[Draft(g.id, "write"), Draft(h.id, "write")]], clock=lambda: NOW_US)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(publish)
            while not done.done():
                of_g, of_h = log.commits_together([(g, 0), (h, 0)])
                assert len(of_g) == len(of_h)
            done.result(timeout=60)

    def test_commits_are_found_by_words_in_any_group(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        quoted = 'the "Straße" of C:\\new'
        said: tuple[dict[str, str], ...] = (
            {"author": "Ana", "message": "50% of Übung"},
            {"author": "Bo"},
            {"author": "Émile", "message": quoted},
            {},
        )
        drafts = [Draft(group.id, "write", meta=meta) for meta in said for group in (h, g)]
        log.publish([[draft] for draft in drafts], clock=lambda: NOW_US, writer="cron")
        published(log, Draft(g.id, "retract", target=1, reason="Broken sensor"))
        odd = ('"STRASSE"', "c:\\NEW", "{", '":')
        found = {
            words: [commit.id for commit in log.find(words)]
            for words in ("ana", "author bo", "50%", "5_%", "CRON retract", "broken", "nothing", "émile", "ÜBUNG", *odd)
        }
        assert found == {
            "ana": ["g@1:1", "h@1:1"],
            "author bo": ["g@1:2", "h@1:2"],
            "50%": ["g@1:1", "h@1:1"],
            "5_%": [],
            "CRON retract": [],
            "broken": ["g@1:5"],
            "nothing": [],
            "émile": ["g@1:3", "h@1:3"],
            "ÜBUNG": ["g@1:1", "h@1:1"],
            '"STRASSE"': ["g@1:3", "h@1:3"],
            "c:\\NEW": ["g@1:3", "h@1:3"],
            "{": [],
            '":': [],
        }
        assert [commit.id for commit in log.find("cron", limit=2)] == ["g@1:4", "h@1:4"]
        assert [commit.id for commit in log.find("", limit=2)] == ["h@1:4", "g@1:5"]
        assert len(log.find("")) == 9

    def test_committed_at_is_now_or_after_the_last_or_the_greatest_event_time(
        self, log: CommitLog, g: RegisteredGroup
    ) -> None:
        found: list[int] = []
        for now, event in ((100, 50), (100, 50), (90, 50), (110, 150), (120, 50), (500, 50), (500, None), (-7, 0)):
            draft = Draft(g.id, "write", rows=1, min_event_us=event, max_event_us=event)
            found.append(published(log, draft, now_us=now).committed_at_us)
        assert found == [100, 101, 102, 150, 151, 500, 501, 502]
        assert [commit.committed_at_us for commit in log.commits(g)] == found

    def test_events_before_1970_and_at_its_first_moment_are_events(self, log: CommitLog, g: RegisteredGroup) -> None:
        early = published(log, Draft(g.id, "write", min_event_us=-50, max_event_us=-40), now_us=-60)
        assert early.committed_at_us == -40
        first = published(log, Draft(g.id, "write", min_event_us=0, max_event_us=0), now_us=-30)
        assert first.committed_at_us == 0

    def test_drafts_together_share_their_time_and_each_group_counts_for_itself(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        published(log, Draft(g.id, "write"), now_us=100)
        (answer,) = log.publish(
            [[Draft(g.id, "write"), Draft(h.id, "write", min_event_us=30, max_event_us=300)]], clock=lambda: 50
        )
        assert isinstance(answer, list)
        assert [(commit.id, commit.committed_at_us) for commit in answer] == [("g@1:2", 300), ("h@1:1", 300)]
        assert published(log, Draft(g.id, "write"), now_us=60).committed_at_us == 301

    def test_the_clock_is_read_after_the_log_is_locked(
        self, log: CommitLog, g: RegisteredGroup, opened: Callable[[], Metadata]
    ) -> None:
        other = opened().log
        seen: list[int] = []

        def slow() -> int:
            with ThreadPoolExecutor(1) as pool:  # a reader is not blocked, and sees nothing of this commit
                seen.append(len(pool.submit(other.commits, g).result(timeout=30)))
            return 100

        (answer,) = log.publish([[Draft(g.id, "write")]], clock=slow)
        assert isinstance(answer, list)
        assert (seen, len(other.commits(g))) == ([0], 1)

    def test_inner_sequences_are_independent(self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup) -> None:
        answers = log.publish(
            [
                [Draft(g.id, "write", rows=1)],
                [Draft(h.id, "write"), Draft(g.id, "retract", target=99)],
                [Draft(g.id, "write", rows=2)],
                [Draft(9999, "write")],
                [Draft(h.id, "write", rows=3)],
            ],
            clock=lambda: NOW_US,
        )
        assert [[c.id for c in a] if isinstance(a, list) else type(a) for a in answers] == [
            ["g@1:1"],
            NotFoundError,
            ["g@1:2"],
            ConflictError,
            ["h@1:1"],
        ]
        assert [commit.rows for commit in log.commits(g)] == [1, 2]
        assert [commit.rows for commit in log.commits(h)] == [3]

    def test_a_group_that_is_gone_is_a_conflict(self, both: Metadata, log: CommitLog, g: RegisteredGroup) -> None:
        published(log, Draft(g.id, "write"))
        both.registry.remove("g")
        assert isinstance(refused(log, Draft(g.id, "write")), ConflictError)
        both.registry.apply([group_of("g")], now_us=NOW_US)
        assert log.commits(both.registry.group("g")) == []
        assert log.heads() == {}

    # ---- idempotency

    def test_the_same_key_with_the_same_content_gives_the_first_commit(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        draft = Draft(g.id, "write", rows=1, idempotency_key="once", digest="d")
        first = published(log, draft)
        again = published(log, replace(draft, meta={"try": "2"}), now_us=NOW_US + 5)
        assert again == first
        assert (first.repeated, again.repeated) == (False, True)
        assert log.commits(g) == [first]
        other = published(log, replace(draft, group_id=h.id, digest="other"))
        assert not other.repeated, "a key belongs to its group"

    def test_the_same_key_in_one_batch_is_stored_once(self, log: CommitLog, g: RegisteredGroup) -> None:
        draft = Draft(g.id, "push", idempotency_key="once", digest="d")
        answers = log.publish([[draft], [draft]], clock=lambda: NOW_US)
        commits = [answer[0] for answer in answers if isinstance(answer, list)]
        assert [commit.repeated for commit in commits] == [False, True]
        assert len(log.commits(g)) == 1

    def test_the_same_key_with_other_content_is_a_conflict(self, log: CommitLog, g: RegisteredGroup) -> None:
        draft = Draft(g.id, "write", idempotency_key="once", digest="d")
        published(log, draft)
        for other in (replace(draft, digest="e"), replace(draft, kind="backfill")):
            assert isinstance(refused(log, other), ConflictError)
        assert len(log.commits(g)) == 1

    def test_together_is_repeated_as_a_whole_or_not_at_all(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        drafts = [Draft(group.id, "write", idempotency_key="once", digest="d") for group in (g, h)]
        published(log, drafts[0])
        assert isinstance(refused(log, *drafts), ConflictError)
        assert log.commits(h) == []

    # ---- retract

    def test_a_retract_names_a_commit_once_and_no_retract(self, log: CommitLog, g: RegisteredGroup) -> None:
        published(log, Draft(g.id, "write"))
        assert isinstance(refused(log, Draft(g.id, "retract", target=7)), NotFoundError)
        retract = published(log, Draft(g.id, "retract", target=1, reason="wrong"))
        assert (retract.target, retract.reason, retract.kind) == (1, "wrong", "retract")
        assert isinstance(refused(log, Draft(g.id, "retract", target=2)), UsageError)
        assert isinstance(refused(log, Draft(g.id, "retract", target=1)), UsageError)
        assert len(log.commits(g)) == 2

    def test_of_two_retracts_in_one_batch_the_second_is_refused(self, log: CommitLog, g: RegisteredGroup) -> None:
        published(log, Draft(g.id, "write"))
        draft = Draft(g.id, "retract", target=1)
        first, second = log.publish([[draft], [draft]], clock=lambda: NOW_US)
        assert isinstance(first, list)
        assert isinstance(second, UsageError)

    # ---- reading

    def test_commits_come_in_order_after_a_number_and_the_newest_with_a_limit(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        for _ in range(5):
            published(log, Draft(g.id, "write"))
        published(log, Draft(h.id, "write"))
        assert [commit.number for commit in log.commits(g)] == [1, 2, 3, 4, 5]
        assert [commit.number for commit in log.commits(g, after=3)] == [4, 5]
        assert [commit.number for commit in log.commits(g, limit=2)] == [4, 5]
        assert [commit.number for commit in log.commits(g, after=1, limit=2)] == [4, 5]
        assert log.commits(g, after=5) == []

    def test_heads_are_the_last_commits(self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup) -> None:
        assert log.heads() == {}
        published(log, Draft(g.id, "write"))
        last = published(log, Draft(g.id, "write"))
        assert log.heads() == {g.id: last}
        other = published(log, Draft(h.id, "write"))
        assert log.heads() == {g.id: last, h.id: other}

    def test_totals_add_the_commits_up(self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup) -> None:
        assert log.totals() == {}
        published(log, Draft(g.id, "write", rows=2, max_event_us=50, quarantined=1), now_us=100)
        published(log, Draft(g.id, "backfill", rows=3, max_event_us=40), now_us=200)
        published(log, Draft(h.id, "write"), now_us=300)
        assert log.totals() == {g.id: Totals(2, 5, 1, 50, 200), h.id: Totals(1, 0, 0, None, 300)}

    def test_a_snapshot_has_the_files_and_the_journal_up_to_its_pin(self, log: CommitLog, g: RegisteredGroup) -> None:
        one, two = (replace(_file(f"{n}"), width=1) for n in (1, 2))
        published(log, Draft(g.id, "write", rows=1, files=(one,)), now_us=100)
        published(log, Draft(g.id, "push", rows=2, payload=b"two"), now_us=200)
        published(log, Draft(g.id, "backfill", rows=1, files=(two,), availability="delay"), now_us=300)
        published(log, Draft(g.id, "write"), now_us=400)
        whole = log.snapshot(g)
        assert (whole.pin, whole.committed_at_us, whole.horizon_us) == (4, 400, None)
        assert whole.files == (
            (replace(one, first_commit=1, last_commit=1), Stamp(1, 100, "commit")),
            (replace(two, first_commit=3, last_commit=3), Stamp(3, 300, "delay")),
        )
        assert whole.journal == ((Stamp(2, 200, "commit"), b"two"),)
        early = log.snapshot(g, pin=2)
        assert (early.pin, early.committed_at_us) == (2, 200)
        assert [file.path for file, _ in early.files] == ["1"]
        assert len(early.journal) == 1
        late = log.snapshot(g, after=2)
        assert [file.path for file, _ in late.files] == ["2"]
        assert (late.journal, late.pin) == ((), 4)

    def test_a_snapshot_of_nothing_is_empty(self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup) -> None:
        published(log, Draft(h.id, "write", rows=1, files=(_file("1"),)))
        published(log, Draft(h.id, "push", rows=1, payload=b"x"))
        for snapshot in (log.snapshot(g), log.snapshot(h, pin=0)):
            assert (snapshot.pin, snapshot.files, snapshot.journal, dict(snapshot.retracted)) == (0, (), (), {})

    def test_snapshots_of_several_groups_are_each_as_alone(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        _three_commits(log, g)
        published(log, Draft(h.id, "push", rows=1, payload=b"x"))
        assert log.snapshots([(h, None), (g, 2), (g, None)]) == [
            log.snapshot(h),
            log.snapshot(g, pin=2),
            log.snapshot(g),
        ]
        assert log.snapshots([]) == []
        with pytest.raises(NotFoundError):
            log.snapshots([(g, None), (h, 2)])

    def test_snapshots_hold_what_was_published_together_as_a_whole(
        self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup
    ) -> None:
        def publish() -> None:
            for _ in range(40):
                log.publish([[Draft(g.id, "write"), Draft(h.id, "write")]], clock=lambda: NOW_US)

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(publish)
            while not writing.done():
                one, other = log.snapshots([(g, None), (h, None)])
                assert one.pin == other.pin
            writing.result()

    def test_a_snapshot_knows_since_when_commits_are_hidden(self, log: CommitLog, g: RegisteredGroup) -> None:
        kinds = ("write", "backfill", "push", "retire")
        for kind in kinds:
            published(log, Draft(g.id, kind, availability="delay" if kind == "backfill" else "commit"), now_us=100)
        for target in range(1, 5):
            published(log, Draft(g.id, "retract", target=target), now_us=100 * (target + 1))
        assert log.snapshot(g).retracted == {1: 200, 2: None, 3: 400, 4: 500}
        assert log.snapshot(g, pin=6).retracted == {1: 200, 2: None}
        assert log.snapshot(g, pin=4).retracted == {}

    # ---- files

    def test_replaced_files_and_sealed_journals_are_seen_no_more(self, log: CommitLog, g: RegisteredGroup) -> None:
        _three_commits(log, g)
        new = replace(_file("new"), stamped=True, late=False, first_commit=1, last_commit=3)
        log.replace_files(g, removed=["1", "3"], added=[new], sealed=[2], now_us=700)
        snapshot = log.snapshot(g)
        assert snapshot.files == ((new, None),)
        assert snapshot.journal == ()
        assert log.snapshot(g, pin=1).files == ((new, None),), "it says itself which rows are in the pin"
        assert log.snapshot(g, after=3).files == ()
        assert log.files() == {"1": False, "3": False, "new": True}

    def test_of_two_replacements_of_the_same_the_second_is_a_conflict(self, log: CommitLog, g: RegisteredGroup) -> None:
        _three_commits(log, g)
        new = replace(_file("new"), stamped=True, first_commit=1, last_commit=3)
        log.replace_files(g, removed=["1"], added=[new], sealed=[2], now_us=700)
        before = (log.snapshot(g), log.files())
        for removed, sealed in ((["1", "3"], []), (["3"], [2]), (["never"], []), ([], [3])):
            with pytest.raises(ConflictError):
                log.replace_files(g, removed=removed, added=[_file("other")], sealed=sealed, now_us=800)
            assert (log.snapshot(g), log.files()) == before

    def test_replaced_files_are_remembered_until_they_are_forgotten(self, log: CommitLog, g: RegisteredGroup) -> None:
        _three_commits(log, g)
        for number, path in enumerate(("1", "3")):
            new = replace(_file(f"new {path}"), stamped=True, first_commit=1, last_commit=3)
            log.replace_files(g, removed=[path], added=[new], now_us=700 + number)
        assert log.files(replaced_before_us=700) == {}
        assert log.files(replaced_before_us=701) == {"1": False}
        assert log.files(replaced_before_us=702) == {"1": False, "3": False}
        log.forget_files(["1", "new 1", "never"])
        assert log.files() == {"3": False, "new 1": True, "new 3": True}

    def test_many_files_are_replaced_in_one_step(self, log: CommitLog, g: RegisteredGroup) -> None:
        paths = [f"{n}" for n in range(1200)]
        published(log, Draft(g.id, "write", rows=1200, files=tuple(map(_file, paths))))
        log.replace_files(g, removed=paths, added=[replace(_file("new"), stamped=True, first_commit=1)], now_us=1)
        assert [file.path for file, _ in log.snapshot(g, after=-1).files] == ["new"]
        log.forget_files(paths)
        assert log.files() == {"new": True}

    def test_a_horizon_refuses_earlier_pins_and_retracts(self, log: CommitLog, g: RegisteredGroup) -> None:
        _three_commits(log, g)
        new = replace(_file("new"), stamped=True, first_commit=1, last_commit=3)
        log.replace_files(g, removed=["1", "3"], added=[new], sealed=[2], now_us=700, horizon=(250, 3))
        assert log.snapshot(g).horizon_us == log.snapshot(g, pin=3).horizon_us == 250
        with pytest.raises(ConflictError):
            log.snapshot(g, pin=2)
        assert isinstance(refused(log, Draft(g.id, "retract", target=3)), ConflictError)
        published(log, Draft(g.id, "write"))
        published(log, Draft(g.id, "retract", target=4))
        assert log.snapshot(g, pin=4).pin == 4

    def test_a_horizon_that_is_not_at_the_last_commit_is_a_conflict(self, log: CommitLog, g: RegisteredGroup) -> None:
        _three_commits(log, g)
        before = (log.snapshot(g), log.files())
        with pytest.raises(ConflictError):
            log.replace_files(g, removed=["1"], added=[_file("new")], now_us=700, horizon=(250, 2))
        assert (log.snapshot(g), log.files()) == before

    def test_what_is_removed_with_a_group_leaves_no_files(
        self, both: Metadata, log: CommitLog, g: RegisteredGroup
    ) -> None:
        _three_commits(log, g)
        both.registry.remove("g")
        assert log.files() == {}

    # ---- use

    def test_commits_are_there_after_reopening(
        self, log: CommitLog, g: RegisteredGroup, opened: Callable[[], Metadata]
    ) -> None:
        _three_commits(log, g)
        before = (log.commits(g), log.snapshot(g), log.files())
        log.close()
        again = opened().log
        assert (again.commits(g), again.snapshot(g), again.files()) == before

    def test_processes_publish_to_one_group_without_gaps_and_with_growing_times(
        self, log: CommitLog, g: RegisteredGroup, tmp_path: Path
    ) -> None:
        every = in_processes(_publish_some, [(type(self), str(tmp_path), worker) for worker in range(4)])
        commits = log.commits(g)
        assert [commit.number for commit in commits] == list(range(1, 81))
        clocks = [commit.committed_at_us for commit in commits]
        assert all(one < other for one, other in pairwise(clocks))
        assert sorted(commit.number for mine in every for commit in mine) == list(range(1, 81))
        assert {commit.number: commit for mine in every for commit in mine} == {c.number: c for c in commits}
        journal = {stamp.number: payload for stamp, payload in log.snapshot(g).journal}
        assert journal == {commit.number: commit.meta["worker"].encode() for commit in commits}

    def test_threads_publish_at_the_same_time(self, log: CommitLog, g: RegisteredGroup, h: RegisteredGroup) -> None:
        def publish(number: int) -> None:
            (answer,) = log.publish([[Draft(g.id, "write"), Draft(h.id, "write")]], clock=lambda: NOW_US - number)
            assert isinstance(answer, list)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(publish, range(40)))
        ours, others = log.commits(g), log.commits(h)
        assert [commit.number for commit in ours] == list(range(1, 41))
        assert [c.committed_at_us for c in ours] == [c.committed_at_us for c in others]


def published(log: CommitLog, draft: Draft, *, now_us: int = NOW_US) -> Commit:
    """Publish a draft by itself."""
    (answer,) = log.publish([[draft]], clock=lambda: now_us)
    assert isinstance(answer, list), answer
    return answer[0]


def refused(log: CommitLog, *drafts: Draft) -> AsofError:
    """Publish drafts as one, and return why not."""
    (answer,) = log.publish([drafts], clock=lambda: NOW_US)
    assert isinstance(answer, AsofError)
    return answer


def _file(path: str) -> DataFile:
    return DataFile(path, 1, 10, 5, 7)


def _three_commits(log: CommitLog, group: RegisteredGroup) -> None:
    published(log, Draft(group.id, "write", rows=1, files=(_file("1"),)), now_us=100)
    published(log, Draft(group.id, "push", rows=1, payload=b"2"), now_us=200)
    published(log, Draft(group.id, "write", rows=1, files=(_file("3"),)), now_us=300)


def _publish_some(suite: type[OpensRegistry], root: str, worker: int) -> Sequence[Commit]:
    metadata = suite().open(Path(root))
    log, group = metadata.log, metadata.registry.group("g")
    commits: list[Commit] = []
    for number in range(20):
        draft = Draft(group.id, "push", payload=b"%d" % worker, meta={"worker": str(worker)})
        commits.append(published(log, draft, now_us=NOW_US + number * (worker - 1)))
    log.close()
    return commits
