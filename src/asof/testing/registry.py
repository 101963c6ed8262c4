"""The conformance suites of the registry port: definitions, and the commit log.

class TestSqlite(RegistrySuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"

class TestSqliteLog(CommitLogSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from asof.aggregates import Count, Mean, lifetime, session
from asof.definitions import Check, Entity, Feature, FeatureGroup, FeatureView
from asof.definitions.aggregate import Aggregate
from asof.errors import ConflictError, NotFoundError, UsageError
from asof.records import DataFile, Draft, Family
from asof.registry.port import Metadata, Registry
from asof.testing.adapters import open_adapter
from asof.testing.processes import in_processes

NOW_US = 1_704_067_200_000_000


def group_of(name: str = "g", *more: str, **options: object) -> FeatureGroup:
    """Return a group with the feature `x` and further ones."""
    features = [Feature(feature, "float64") for feature in ("x", *more)]
    entity = Entity("e", keys={"k": "string"})
    given: dict[str, object] = {"event_time": "at", **options}
    return FeatureGroup(name, entity=entity, features=features, **given)  # type: ignore[arg-type]


def view_of(name: str, *groups: FeatureGroup) -> FeatureView:
    """Return a view of the feature `x` of each group."""
    return FeatureView(name, features=[group["x"].alias(f"{group.name}_x") for group in groups])


def made_of(source: FeatureGroup, *features: Aggregate, **options: object) -> FeatureGroup:
    """Return a group that is made of the events of another."""
    entity = Entity("k", keys={"k": "string"})
    return FeatureGroup("made", entity=entity, source=source, features=features, **options)  # type: ignore[arg-type]


class OpensRegistry:
    """Opens the registry under test.

    Attributes:
        adapter: Name of the entry point.
        url: What a store's settings would say; `{root}` stands for an empty folder.
    """

    adapter: ClassVar[str]
    url: ClassVar[str]

    def open(self, root: Path) -> Metadata:
        """Open the ports on one database; the same folder is the same database."""
        return open_adapter("registry", self.adapter, self.url.format(root=root))

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Callable[[], Metadata]]:
        """Give a function that opens the registry under test."""
        every: list[Metadata] = []

        def opened() -> Metadata:
            every.append(self.open(tmp_path))
            return every[-1]

        yield opened
        for metadata in every:
            metadata.log.close()

    @pytest.fixture
    def both(self, opened: Callable[[], Metadata]) -> Metadata:
        """Give an empty registry with its log, tags and erasures."""
        return opened()

    @pytest.fixture
    def registry(self, both: Metadata) -> Registry:
        """Give an empty registry."""
        return both.registry


class RegistrySuite(OpensRegistry):
    """What every registry must do; see `asof.registry.port.Registry`."""

    # ---- plan and apply

    def test_a_plan_changes_nothing(self, registry: Registry) -> None:
        group = group_of()
        plan = registry.plan([group, view_of("v", group)])
        assert [(change.action, change.kind, change.name, change.version) for change in plan] == [
            ("create", "group", "g", 1),
            ("create", "view", "v", 1),
        ]
        assert (registry.groups(), registry.views()) == ([], [])

    def test_apply_does_what_plan_said_and_repeating_it_changes_nothing(self, registry: Registry) -> None:
        group = group_of()
        definitions = [view_of("v", group), group]
        planned = registry.plan(definitions)
        assert registry.apply(definitions, now_us=NOW_US) == planned
        before = (registry.groups(), registry.views())
        again = registry.apply(definitions, now_us=NOW_US + 1)
        assert not again
        assert {change.action for change in again} == {"unchanged"}
        assert (registry.groups(), registry.views()) == before

    def test_definitions_come_back_equal(self, registry: Registry) -> None:
        group = FeatureGroup(
            "g",
            entity=Entity("pair", keys={"k": "string", "l": "int64"}, description="an entity"),
            features=[
                Feature("x", "float64", description="an x", unit="°F", nullable=False, tags={"a": "b"}),
                Feature("v", "struct<a: list<int64>, b: decimal(5, 2)>"),
            ],
            event_time="at",
            ttl="6h",
            delay="1m",
            online=True,
            known="event",
            timezone="America/New_York",
            retention="30d",
            checks=[Check.between("x", -60, 140), Check.one_of("k", ["a", "b"])],
            on_violation="warn",
            description="a group",
            owner="ops",
            tags={"domain": "flights"},
        )
        other = group_of("h")
        features = [group["x"], other.on(k="m")["x"].alias("y"), *group.on(k="n").all()[1:]]
        view = FeatureView("v", features=features, description="a view", owner="me", tags={"c": "d"})
        registry.apply([group, other, view], now_us=NOW_US)
        assert registry.group("g").definition == group
        assert registry.view("v").definition == view
        assert registry.view("v").groups == {"g": registry.group("g"), "h": registry.group("h")}
        assert (registry.group("g").created_at_us, registry.view("v").created_at_us) == (NOW_US, NOW_US)
        assert registry.group("g").layout == ("x", "v")

    def test_a_key_may_come_from_another_groups_answer(self, registry: Registry) -> None:
        source = FeatureGroup("s", entity=Entity("e", keys={"k": "string"}), features=[Feature("m", "string")])
        target = group_of("t")
        view = FeatureView("v", features=[target.on(k=source["m"])["x"]])
        registry.apply([source, target, view], now_us=NOW_US)
        assert registry.view("v").definition == view
        assert set(registry.view("v").groups) == {"s", "t"}

    # ---- groups that are made of others

    def test_a_group_that_is_made_of_events_comes_back_with_its_source(self, registry: Registry) -> None:
        source = group_of()
        made = made_of(source, Count(over="1h"), Mean("x", over=["1h", session(gap="5m")]), description="made")
        registry.apply([view_of("v", source), made, source], now_us=NOW_US)
        group = registry.group("made")
        assert (group.definition, group.source) == (made, registry.group("g"))
        assert group.stored == registry.group("g")
        assert [each.definition for each in registry.groups()] == [source, made]
        assert not registry.apply([source, made], now_us=NOW_US)
        assert not registry.apply([made], now_us=NOW_US)
        with pytest.raises(UsageError, match="made of the events of g@1"):
            _ = group.written

    def test_a_source_must_be_registered_and_stays_as_long_as_a_group_is_made_of_it(self, registry: Registry) -> None:
        source = group_of()
        made = made_of(source, Count(over="1h"))
        with pytest.raises(NotFoundError, match="not registered"):
            registry.apply([made], now_us=NOW_US)
        registry.apply([source, made], now_us=NOW_US)
        with pytest.raises(ConflictError, match="group made@1 reads g@1"):
            registry.remove("g")
        registry.remove("made")
        registry.remove("g")

    def test_other_aggregates_make_a_new_version_and_further_ones_do_not(self, registry: Registry) -> None:
        source = group_of()
        registry.apply([source, made_of(source, Count(over="1h"))], now_us=NOW_US)
        more = made_of(source, Count(over="1h"), Count(over="2h"))
        (change,) = registry.apply([more], now_us=NOW_US)
        assert (change.action, change.version) == ("amend", 1)
        other = made_of(source, Count(over=lifetime(), name="count_1h"), Count(over="2h"))
        (change,) = registry.apply([other], now_us=NOW_US)
        assert (change.action, change.version) == ("new version", 2)
        anew = group_of("g", event_time="happened")
        steps = registry.apply([anew, made_of(anew, Count(over=lifetime(), name="count_1h"))], now_us=NOW_US)
        assert [(step.action, step.version) for step in steps] == [("new version", 2), ("new version", 3)]
        sources = [group.source for group in registry.groups() if group.definition.name == "made"]
        assert [source and source.ref for source in sources] == ["g@1", "g@1", "g@2"]

    def test_a_source_of_another_project_must_be_shared(self, registry: Registry) -> None:
        source = group_of(project="theirs")
        made = made_of(source, Count(over="1h"), project="ours")
        with pytest.raises(UsageError, match="not shared with it"):
            registry.apply([source, made], now_us=NOW_US)
        shared = group_of(project="theirs", shared_with=["ours"])
        made = made_of(shared, Count(over="1h"), project="ours")
        registry.apply([shared, made], now_us=NOW_US)
        with pytest.raises(ConflictError, match="remove the group first"):
            registry.apply([source], now_us=NOW_US)

    def test_apply_is_all_or_none(self, registry: Registry) -> None:
        good, unknown = group_of("good"), group_of("unknown")
        with pytest.raises(NotFoundError):
            registry.apply([good, view_of("v", unknown)], now_us=NOW_US)
        assert (registry.groups(), registry.views()) == ([], [])

    def test_a_view_of_an_unknown_group_is_refused_by_plan_too(self, registry: Registry) -> None:
        with pytest.raises(NotFoundError):
            registry.plan([view_of("v", group_of("unknown"))])

    def test_a_group_and_a_view_share_one_space_of_names(self, registry: Registry) -> None:
        group = group_of("same")
        registry.apply([group], now_us=NOW_US)
        with pytest.raises(ConflictError):
            registry.apply([view_of("same", group)], now_us=NOW_US)
        registry.apply([view_of("v", group)], now_us=NOW_US)
        with pytest.raises(ConflictError):
            registry.apply([group_of("v")], now_us=NOW_US)

    def test_two_different_definitions_of_one_name_are_refused(self, registry: Registry) -> None:
        with pytest.raises(UsageError):
            registry.apply([group_of("g"), group_of("g", "y")], now_us=NOW_US)
        assert registry.groups() == []

    def test_an_entity_has_the_same_keys_in_every_group(self, registry: Registry) -> None:
        registry.apply([group_of("g")], now_us=NOW_US)
        other = FeatureGroup("h", entity=Entity("e", keys={"l": "string"}), features=[Feature("x", "float64")])
        with pytest.raises(UsageError):
            registry.apply([other], now_us=NOW_US)
        assert [group.ref for group in registry.groups()] == ["g@1"]

    # ---- versions

    @pytest.mark.parametrize(
        "changed",
        [
            group_of("g", "y"),
            group_of("g", description="new", owner="new", tags={"a": "b"}),
            group_of("g", retention="1d"),
            group_of("g", checks=[Check.not_null("x")], on_violation="off"),
            group_of("g", online=True),
        ],
    )
    def test_what_may_change_in_place_keeps_its_version_and_id(self, registry: Registry, changed: FeatureGroup) -> None:
        registry.apply([group_of("g")], now_us=NOW_US)
        before = registry.group("g")
        (change,) = registry.apply([changed], now_us=NOW_US + 1)
        assert (change.action, change.version) == ("amend", 1)
        after = registry.group("g")
        assert (after.definition, after.id, after.created_at_us) == (changed, before.id, NOW_US)
        assert after.known == before.known, "fixed at creation"

    @pytest.mark.parametrize(
        "changed",
        [
            group_of("g", ttl="1h"),
            group_of("g", delay="1h"),
            group_of("g", event_time=None),
            group_of("g", event_time="time"),
            FeatureGroup(
                "g", entity=Entity("e", keys={"k": "string"}), features=[Feature("x", "float32")], event_time="at"
            ),
            FeatureGroup(
                "g", entity=Entity("e", keys={"k": "int64"}), features=[Feature("x", "float64")], event_time="at"
            ),
            FeatureGroup(
                "g", entity=Entity("e", keys={"k": "string"}), features=[Feature("y", "float64")], event_time="at"
            ),
        ],
    )
    def test_anything_else_is_a_new_version_beside_the_old_one(self, registry: Registry, changed: FeatureGroup) -> None:
        registry.apply([group_of("g")], now_us=NOW_US)
        (change,) = registry.apply([changed], now_us=NOW_US + 1)
        assert (change.action, change.version) == ("new version", 2)
        assert registry.group("g").definition == registry.group("g@2").definition == changed
        assert registry.group("g@1").definition == group_of("g")
        assert registry.group("g@1").id != registry.group("g@2").id
        assert [group.ref for group in registry.groups()] == ["g@1", "g@2"]

    def test_features_keep_the_order_in_which_they_were_added(self, registry: Registry) -> None:
        for group in (group_of("g"), group_of("g", "b"), group_of("g", "b", "a")):
            registry.apply([group], now_us=NOW_US)
        assert registry.group("g").layout == ("x", "b", "a")

    def test_a_view_stays_with_the_versions_that_it_was_created_with(self, registry: Registry) -> None:
        old, new = group_of("g"), group_of("g", ttl="1h")
        registry.apply([old, view_of("v", old)], now_us=NOW_US)
        registry.apply([new], now_us=NOW_US)
        assert registry.view("v").groups["g"].ref == "g@1"
        registry.apply([view_of("w", old)], now_us=NOW_US)
        assert registry.view("w").groups["g"].ref == "g@1", "the registered version that equals it"
        registry.apply([view_of("v", new)], now_us=NOW_US)
        assert registry.view("v@2").groups["g"].ref == "g@2"
        assert registry.view("v@1").groups["g"].ref == "g@1"

    @pytest.mark.parametrize(
        ("options", "known"),
        [({}, "event"), ({"online": True}, "served"), ({"online": True, "known": "event"}, "event")],
    )
    def test_the_default_knowledge_mode_is_fixed_at_creation(
        self, registry: Registry, options: dict[str, object], known: str
    ) -> None:
        registry.apply([group_of("g", **options)], now_us=NOW_US)
        assert registry.group("g").known == known

    # ---- looking up

    def test_groups_and_views_are_listed_by_name_and_version(self, registry: Registry) -> None:
        groups = [group_of(name) for name in ("b", "c", "a")]
        registry.apply([*groups, *(view_of(f"v{group.name}", group) for group in groups)], now_us=NOW_US)
        registry.apply([group_of("b", ttl="1h")], now_us=NOW_US)
        assert [group.ref for group in registry.groups()] == ["a@1", "b@1", "b@2", "c@1"]
        assert [view.ref for view in registry.views()] == ["va@1", "vb@1", "vc@1"]

    def test_unknown_names_are_answered_with_those_that_come_close(self, registry: Registry) -> None:
        group = group_of("weather")
        registry.apply([group, view_of("departure", group)], now_us=NOW_US)
        for find, name, close in (
            (registry.group, "wether", "weather"),
            (registry.group, "weather@7", "weather@1"),
            (registry.view, "departures", "departure"),
        ):
            with pytest.raises(NotFoundError, match=close):
                find(name)

    # ---- remove

    def test_what_a_view_reads_is_not_removed_and_the_view_is_named(self, registry: Registry) -> None:
        group = group_of("g")
        registry.apply([group, view_of("v", group)], now_us=NOW_US)
        for name in ("g", "g@1"):
            with pytest.raises(ConflictError, match="v@1"):
                registry.remove(name)
        assert registry.remove("v") == []
        (gone,) = registry.remove("g")
        assert gone.ref == "g@1"
        assert (registry.groups(), registry.views()) == ([], [])

    def test_a_group_that_only_gives_a_key_is_a_dependency_too(self, registry: Registry) -> None:
        source = FeatureGroup("s", entity=Entity("e", keys={"k": "string"}), features=[Feature("m", "string")])
        target = group_of("t")
        registry.apply([source, target, FeatureView("v", features=[target.on(k=source["m"])["x"]])], now_us=NOW_US)
        with pytest.raises(ConflictError, match="v@1"):
            registry.remove("s")

    def test_one_version_is_removed_or_all(self, registry: Registry) -> None:
        for options in ({}, {"ttl": "1h"}, {"ttl": "2h"}):
            registry.apply([group_of("g", **options)], now_us=NOW_US)
        assert [group.ref for group in registry.remove("g@2")] == ["g@2"]
        assert [group.ref for group in registry.groups()] == ["g@1", "g@3"]
        assert [group.ref for group in registry.remove("g")] == ["g@1", "g@3"]
        with pytest.raises(NotFoundError):
            registry.remove("g")

    def test_an_id_is_never_used_again(self, registry: Registry) -> None:
        ids: list[int] = []
        for _ in range(3):
            registry.apply([group_of("g")], now_us=NOW_US)
            ids.append(registry.group("g").id)
            registry.remove("g")
        assert len(set(ids)) == 3

    # ---- the generation

    def test_the_generation_grows_with_every_change_of_a_definition(self, registry: Registry) -> None:
        found = [registry.generation()]
        for change in (
            lambda: registry.apply([group_of("g")], now_us=NOW_US),
            lambda: registry.apply([group_of("g", description="said")], now_us=NOW_US),
            lambda: registry.apply([view_of("v", group_of("g", description="said"))], now_us=NOW_US),
            lambda: registry.remove("v"),
        ):
            change()
            found.append(registry.generation())
        assert sorted(set(found)) == found
        registry.apply([group_of("g", description="said")], now_us=NOW_US)
        registry.plan([group_of("h")])
        assert registry.generation() == found[-1]

    # ---- use

    # ---- split

    def test_a_split_stays_and_apply_leaves_it_alone(self, registry: Registry) -> None:
        group = group_of("g", "y", "z", on_unchanged="skip")
        registry.apply([group], now_us=NOW_US)
        before = registry.generation()
        assert registry.split("g", ["z", "y"]).cold == ("y", "z")
        assert registry.generation() > before
        after = registry.generation()
        assert registry.split("g@1", ("y", "z")) == registry.group("g")
        assert registry.generation() == after
        assert not registry.apply([group], now_us=NOW_US)
        registry.apply([group_of("g", "y", "z", "w", on_unchanged="skip")], now_us=NOW_US)
        assert registry.group("g").layout == ("x", "y", "z", "w")
        assert registry.groups()[0].cold == ("y", "z")

    def test_a_new_version_begins_without_a_split(self, registry: Registry) -> None:
        registry.apply([group_of("g", "y", on_unchanged="skip")], now_us=NOW_US)
        registry.split("g", ["y"])
        registry.apply([group_of("g", "y", on_unchanged="skip", ttl="1h")], now_us=NOW_US)
        assert [group.cold for group in registry.groups()] == [("y",), ()]

    def test_what_makes_no_two_families_is_refused(self, registry: Registry) -> None:
        registry.apply([group_of("g", "y", "z", on_unchanged="skip"), group_of("h", "y")], now_us=NOW_US)
        with pytest.raises(NotFoundError, match="did you mean 'y'"):
            registry.split("g", ["yy"])
        with pytest.raises(NotFoundError):
            registry.split("nothing", ["y"])
        for cold, message in (
            ([], "which features"),
            ("y", "no list of features"),
            (["k"], "is no feature"),
            (["at"], "is no feature"),
            (["x", "y", "z"], "all features"),
        ):
            with pytest.raises(UsageError, match=message):
                registry.split("g", cold)
        with pytest.raises(UsageError, match='on_unchanged="skip" first'):
            registry.split("h", ["y"])
        registry.split("g", ["y"])
        with pytest.raises(ConflictError, match="split already"):
            registry.split("g", ["z"])
        assert [group.cold for group in registry.groups()] == [("y",), ()]

    def test_a_snapshot_of_a_split_group_has_the_same_rows_of_both_families(self, both: Metadata) -> None:
        both.registry.apply([group_of("g", "y", on_unchanged="skip")], now_us=NOW_US)
        group = both.registry.group("g")

        def file(path: str, family: Family | None, **options: int) -> DataFile:
            return replace(DataFile(path, 1, 10, 5, 7, family=family), **options)

        def publish(*files: DataFile) -> None:
            (answer,) = both.log.publish([[Draft(group.id, "write", rows=1, files=files)]], clock=lambda: NOW_US)
            assert isinstance(answer, list)

        def paths(after: int) -> str:
            return " ".join(sorted(file.path for file, _ in both.log.snapshot(group, after=after).files))

        publish(file("1", None))
        assert both.log.snapshot(group).cold == ()
        both.registry.split("g", ["y"])
        assert both.log.snapshot(group).cold == ("y",)
        for number in (2, 3, 4):
            publish(file(f"h{number}", "hot"), file(f"c{number}", "cold"))
        assert [paths(after) for after in (0, 1, 3, 4)] == ["1 c2 c3 c4 h2 h3 h4", "c2 c3 c4 h2 h3 h4", "c4 h4", ""]
        merged = file("h34", "hot", first_commit=3, last_commit=4)
        both.log.replace_files(group, removed=["h3", "h4"], added=[replace(merged, stamped=True)], now_us=NOW_US)
        assert paths(3) == "c3 c4 h34", "the hot file has rows of commit 3, so the cold one must be there"
        assert both.log.snapshot(group).files[-1][0].family in ("hot", "cold")
        merged = file("c23", "cold", first_commit=2, last_commit=3)
        both.log.replace_files(group, removed=["c2", "c3"], added=[replace(merged, stamped=True)], now_us=NOW_US)
        assert paths(3) == "c23 c4 h2 h34", "and so on"
        assert paths(4) == ""

    def test_definitions_are_there_after_reopening(self, opened: Callable[[], Metadata]) -> None:
        first = opened()
        first.registry.apply([group_of("g")], now_us=NOW_US)
        before = first.registry.groups()
        first.log.close()
        assert opened().registry.groups() == before

    def test_processes_apply_different_definitions_and_lose_nothing(self, registry: Registry, tmp_path: Path) -> None:
        in_processes(_apply_some, [(type(self), str(tmp_path), worker) for worker in range(3)])
        names = sorted(f"g{worker}_{number}" for worker in range(3) for number in range(10))
        assert [group.definition.name for group in registry.groups()] == names
        assert [view.definition.name for view in registry.views()] == sorted(f"v{name}" for name in names)
        assert len({group.id for group in registry.groups()}) == 30

    def test_threads_apply_the_same_definition_and_one_creates_it(self, registry: Registry) -> None:
        with ThreadPoolExecutor(8) as pool:
            tries = [pool.submit(registry.apply, [group_of("g")], now_us=NOW_US) for _ in range(8)]
            plans = [each.result(timeout=60) for each in tries]
        assert sorted(change.action for plan in plans for change in plan) == ["create", *["unchanged"] * 7]
        assert [group.ref for group in registry.groups()] == ["g@1"]


def _apply_some(suite: type[OpensRegistry], root: str, worker: int) -> None:
    metadata = suite().open(Path(root))
    for number in range(10):
        group = group_of(f"g{worker}_{number}")
        metadata.registry.apply([group, view_of(f"vg{worker}_{number}", group)], now_us=NOW_US)
    metadata.log.close()
