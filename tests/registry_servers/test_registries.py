"""How a store finds its registry on a server, what it may hold, and who may not use it."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.addresses import NOWHERE, check_no_message_holds_the_password

from asof.errors import NotFoundError, PermanentError, TransientError, UsageError
from asof.records import DataFile, Draft
from asof.registry.sql import open_sql
from asof.registry.sql.dialects.mysql import MySql
from asof.registry.sql.dialects.postgres import Postgres
from asof.testing.processes import in_processes
from asof.testing.registry import NOW_US, group_of, view_of

pytestmark = pytest.mark.slow


def publish(metadata, *drafts):
    return metadata.log.publish([[draft] for draft in drafts], clock=lambda: NOW_US)


@pytest.fixture
def registry(backend, opened):
    """Give a registry with the groups g and h."""
    metadata = opened(backend.url)
    metadata.registry.apply([group_of("g"), group_of("h")], now_us=NOW_US)
    return metadata


# ---- addresses


def test_registries_that_share_a_server_share_nothing(backend, opened):
    one, other = opened(backend.url), opened(backend.another())
    one.registry.apply([group_of("g")], now_us=NOW_US)
    assert other.registry.groups() == []
    assert [group.ref for group in opened(backend.url).registry.groups()] == ["g@1"]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "mysql", "mariadb"])
@pytest.mark.parametrize("rest", NOWHERE)
def test_no_message_holds_the_password(scheme, rest):
    check_no_message_holds_the_password(open_sql, scheme, rest)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://127.0.0.1/x?no_such_option=1",
        f"postgresql://127.0.0.1/x?schema={'x' * 64}",
        "mysql://127.0.0.1",
        "mysql://127.0.0.1/x?no_such_option=1",
        "mariadb:x",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_at_once(url):
    with pytest.raises(UsageError):
        open_sql(url)


def test_an_unknown_database_or_user_is_no_passing_failure(postgres_server, mariadb_server):
    for url, said in (
        (postgres_server.url.replace("/postgres", "/nowhere"), "does not exist"),
        (postgres_server.url.replace("asof@", "nobody@"), "does not exist"),
        (f"mysql://asof@127.0.0.1:{mariadb_server.port}/nowhere", "Unknown database"),
        (mariadb_server.url.replace("asof@", "nobody:wrong@"), "refuses the user or the password"),
    ):
        with pytest.raises(PermanentError, match=said):
            open_sql(url)


def test_who_may_not_create_tables_is_told_so(backend):
    name = f"u{backend.name}"
    if backend.scheme == "postgresql":
        backend.ask(f"CREATE ROLE {name} LOGIN")
        url = backend.url.replace("asof@", f"{name}@")
    else:
        backend.ask(f"CREATE USER {name}@'127.0.0.1'")
        backend.ask(f"GRANT SELECT ON {backend.name}.* TO {name}@'127.0.0.1'")
        url = backend.url.replace("asof@", f"{name}@")
    with pytest.raises(PermanentError, match="refuses") as refused:
        open_sql(url)
    assert "create" in refused.value.todo


@pytest.mark.parametrize(
    ("package", "scheme", "extra"),
    [("psycopg", "postgresql", "postgres"), ("pymysql", "mysql", "mysql"), ("pymysql", "mariadb", "mysql")],
)
def test_without_its_package_an_adapter_says_how_to_install_it(package, scheme, extra):
    code = f"""
import sys
sys.modules[{package!r}] = None
from asof.errors import MissingDependencyError
from asof.registry.sql import open_sql
try:
    open_sql("{scheme}://127.0.0.1/x")
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f'pip install "asof[{extra}]"' in done.stdout


# ---- what it holds


def test_names_and_keys_differ_by_case_accents_and_blanks_at_the_end(registry):
    g = registry.registry.group("g")
    keys = ["key", "KEY", "Key", "kéy", "key ", " key", "ключ", "🔑", "straße", "strasse", "k" * 255]
    commits = publish(registry, *(Draft(g.id, "push", idempotency_key=key, digest="d") for key in keys))
    assert [commit.number for (commit,) in commits] == list(range(1, len(keys) + 1))
    again = publish(registry, *(Draft(g.id, "push", idempotency_key=key, digest="d") for key in keys))
    assert [(commit.number, commit.repeated) for (commit,) in again] == [(n + 1, True) for n in range(len(keys))]
    paths = ["x/A", "x/a", "x/a ", "x/á"]
    publish(registry, Draft(g.id, "write", rows=4, files=tuple(DataFile(path, 1, 10, 5, 7) for path in paths)))
    assert set(registry.log.files()) == set(paths)
    for name in ("v1.B", "v1.a", "v1-a", "v1_a"):
        registry.tags.add(name, message="", writer="", now_us=NOW_US)
    assert [tag.name for tag in registry.tags.all()] == sorted(("v1.B", "v1.a", "v1-a", "v1_a"))
    with pytest.raises(NotFoundError):
        registry.tags.get("V1.a")
    with pytest.raises(NotFoundError):
        registry.registry.group("G")


def test_names_are_ordered_by_their_characters(registry):
    names = ["a_b", "ab", "a1", "az", "a_0", "b"]
    registry.registry.apply([group_of(name) for name in names], now_us=NOW_US)
    assert [group.definition.name for group in registry.registry.groups()] == sorted([*names, "g", "h"])


def test_large_and_odd_texts_and_bytes_come_back_as_they_were(registry):
    g = registry.registry.group("g")
    payload = bytes(range(256)) * 12_000  # 3 MB
    meta = {"note": "x" * 100_000, "quotes": "it's \"\\' 100% %s :name \u0000 🙂"}
    reason = "'; DROP TABLE tag; -- \\ 🙂 " + "é" * 70_000
    ((commit,),) = publish(registry, Draft(g.id, "push", rows=1, payload=payload, meta=meta))
    publish(registry, Draft(g.id, "retract", target=1, reason=reason))
    assert registry.log.snapshot(g).journal[0][1] == payload
    found = registry.log.commits(g)
    assert found[0] == commit
    assert (found[0].meta, found[1].reason) == (meta, reason)
    begun = registry.erasures.begin("e", payload, reason="", writer="", now_us=-(2**62))
    assert registry.erasures.all() == [begun]


def test_what_cannot_be_held_is_refused_and_nothing_is_stored(registry, backend):
    g = registry.registry.group("g")
    with pytest.raises(UsageError, match="cannot keep this"):
        publish(registry, Draft(g.id, "push", idempotency_key="k" * 256, digest="d"))
    if backend.scheme == "postgresql":
        with pytest.raises(UsageError, match="cannot keep this"):
            publish(registry, Draft(g.id, "push", reason="nul \x00"))
    assert registry.log.commits(g) == []


def test_a_message_that_is_too_large_for_the_server_says_so(backend, registry):
    if backend.scheme == "postgresql":
        return  # it takes a gigabyte
    g = registry.registry.group("g")
    with pytest.raises((PermanentError, TransientError)) as refused:
        publish(registry, Draft(g.id, "push", rows=1, payload=b"\x00" * 20_000_000))
    assert "max_allowed_packet" in str(refused.value)
    assert registry.log.commits(g) == []


# ---- many at once


def test_eight_processes_that_open_an_empty_database_at_once_make_one_registry(backend, opened):
    assert in_processes(_apply_one, [(backend.url, worker) for worker in range(8)]) == [1] * 8
    names = [group.definition.name for group in opened(backend.url).registry.groups()]
    assert names == sorted(["same", *(f"g{worker}" for worker in range(8))])


def test_eight_processes_apply_publish_and_tag_at_once_and_lose_nothing(backend, registry, opened):
    every = in_processes(_work, [(backend.url, worker) for worker in range(8)])
    g, h = registry.registry.group("g"), registry.registry.group("h")
    ours, others = registry.log.commits(g), registry.log.commits(h)
    assert [commit.number for commit in ours] == list(range(1, 8 * 12 + 1))
    assert [commit.committed_at_us for commit in ours] == [commit.committed_at_us for commit in others]
    assert {commit.number for mine in every for commit in mine} == {commit.number for commit in ours}
    journal = {stamp.number: payload for stamp, payload in registry.log.snapshot(g).journal}
    assert journal == {commit.number: commit.meta["worker"].encode() for commit in ours}
    names = sorted(f"g{worker}_{number}" for worker in range(8) for number in range(6))
    assert [group.definition.name for group in registry.registry.groups()] == ["g", *names, "h"]
    assert [view.definition.name for view in registry.registry.views()] == sorted(f"v{name}" for name in names)
    assert len({group.id for group in registry.registry.groups()}) == len(names) + 2
    assert len(registry.tags.all()) == 8


def _apply_one(url, worker):
    metadata = open_sql(url)
    metadata.registry.apply([group_of("same"), group_of(f"g{worker}")], now_us=NOW_US)
    found = metadata.registry.group("same").version
    metadata.log.close()
    return found


def _work(url, worker):
    metadata = open_sql(url)
    g, h = metadata.registry.group("g"), metadata.registry.group("h")
    mine = []
    for number in range(12):
        draft = Draft(g.id, "push", payload=b"%d" % worker, meta={"worker": str(worker)})
        ((commit, _),) = metadata.log.publish([[draft, replace(draft, group_id=h.id)]], clock=lambda: NOW_US - worker)
        mine.append(commit)
        if number % 2:
            group = group_of(f"g{worker}_{number // 2}")
            metadata.registry.apply([group, view_of(f"v{group.name}", group)], now_us=NOW_US)
    metadata.tags.add(f"tag{worker}", message="", writer="", now_us=NOW_US)
    metadata.log.close()
    return mine


def test_notes_of_connections_that_are_gone_are_dropped_in_time(backend, registry, opened):
    count = "SELECT count(*) FROM store_fact WHERE name LIKE 'transaction of %'"
    publish(registry, Draft(registry.registry.group("g").id, "push"))
    before = backend.ask(count)[0][0]
    assert before
    opened(backend.url)
    assert backend.ask(count)[0][0] == before, "they may be needed yet"
    backend.ask("UPDATE store_fact SET value = '1000000000 7' WHERE name LIKE 'transaction of %'")
    opened(backend.url)
    assert backend.ask(count)[0][0] <= 1, "but for who dropped them"
    assert opened(backend.url).registry.generation() == 1


def test_a_write_that_hangs_in_the_middle_keeps_nobody_waiting_for_ever(backend, registry, monkeypatch, opened):
    # Both servers end a session that leaves its transaction idle; a minute is too long for a test.
    monkeypatch.setattr(Postgres, "SESSION", "SET idle_in_transaction_session_timeout = '1s'")
    monkeypatch.setattr(MySql, "OF_MARIADB", "SET SESSION idle_transaction_timeout = 1")
    hanging, done = opened(backend.url), threading.Event()
    g = registry.registry.group("g")

    def hang():
        return hanging.log.publish([[Draft(g.id, "push")]], clock=lambda: begun.set() or (done.wait(30) and NOW_US))

    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(hang)
        begun.wait(30)
        ((first,),) = publish(registry, Draft(g.id, "push"))
        done.set()
        ((second,),) = stuck.result(timeout=60)  # its transaction was undone, and made again
    assert (first.number, second.number) == (1, 2)
