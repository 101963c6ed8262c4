"""Damaged files: doctor finds and names them, and one command builds the online store again from history."""

import random
import subprocess
import sys

import pytest

import asof
from asof.errors import PermanentError, TransientError

pytestmark = pytest.mark.slow


@pytest.fixture
def filled(store, good, at):
    """Give a store with some thousand keys, so that its files have pages to damage."""
    rows = [
        {**good, "origin": chr(65 + n // 676) + chr(65 + n // 26 % 26) + chr(65 + n % 26), "time_hour": at(3)}
        for n in range(4000)
    ]
    store.backfill("weather", rows)
    store.push("weather", {**good, "time_hour": at(4), "temp": 7.0})
    return store


def answers(folder, clock):
    with asof.open(folder, clock=clock) as store:
        keys = [{"origin": origin} for origin in ("JFK", "AAA", "FAA", "SFO", "NONE")]
        return [(v.values["temp"], v.statuses["temp"]) for v in store.online("weather", keys)]


def cut(content):
    return content[: len(content) // 8 * 4]


def zeroed_headers(content):
    pages = [content[at : at + 4096] for at in range(0, len(content), 4096)]
    return b"".join(page if number < 2 else bytes(32) + page[32:] for number, page in enumerate(pages))


def garbage(content):
    return random.Random(1).randbytes(len(content))


DAMAGES = {
    "cut off": (cut, r"the online store is cut off: [\d,]+ of [\d,]+ bytes are there"),
    "a few bytes": (lambda content: content[:1000], "damaged"),
    "garbage": (garbage, "the online store is damaged"),
    "headers of pages gone": (zeroed_headers, "the online store is damaged"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_an_online_store_too_damaged_to_open_is_named_and_built_again(filled, folder, case):
    clock = filled._clock if not hasattr(filled, "_parts") else filled._parts.clock
    filled.close()
    expected = answers(folder, clock)
    file = folder / "online" / "data.mdb"
    damage, message = DAMAGES[case]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(
        PermanentError, match=f"{message}.*run `asof doctor --repair`: it is rebuilt from history"
    ) as caught:
        asof.open(folder)
    assert str(folder / "online") in str(caught.value)
    with asof.open(folder, clock=clock, repair=True) as store:
        found = store.quality.doctor(repair=True)
        (finding,) = found.findings
        assert (finding.where, finding.repaired) == ("online", True)
        assert str(file) in finding.what
        assert "data.mdb.damaged, and built again from history" in finding.what
        assert found.healthy
        assert found.keys == 4002
        assert store.quality.doctor(repair=True).healthy
    assert answers(folder, clock) == expected
    assert file.with_name("data.mdb.damaged").exists()


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pages_are_found_by_doctor_without_being_opened_here(filled, folder, seed):
    clock = filled._parts.clock
    filled.close()
    expected = answers(folder, clock)
    file = folder / "online" / "data.mdb"
    content = bytearray(file.read_bytes())
    pages = len(content) // 4096
    rng = random.Random(seed)
    for page in rng.sample(range(2, pages), pages // 2):  # a bit of everything: leaves, branches, free pages
        content[page * 4096 : page * 4096 + 16] = rng.randbytes(16)
    file.write_bytes(content)
    code = "import asof, sys\nwith asof.open(sys.argv[1]) as store: print(store.quality.doctor())"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert "data.mdb" in told or "the online store is damaged" in told or done.returncode == -6, told
    with asof.open(folder, clock=clock, repair=True) as store:
        assert store.quality.doctor(repair=True).healthy
    assert answers(folder, clock) == expected


def test_a_sound_online_store_is_not_touched_by_repair(filled, folder):
    clock = filled._parts.clock
    filled.close()
    with asof.open(folder, clock=clock, repair=True) as store:
        assert store.quality.doctor(repair=True).findings == ()
    assert not (folder / "online" / "data.mdb.damaged").exists()


def test_a_missing_online_store_is_built_again_at_once(filled, folder):
    clock = filled._parts.clock
    filled.close()
    expected = answers(folder, clock)
    for file in (folder / "online").iterdir():
        file.unlink()
    assert answers(folder, clock) == expected


def test_an_online_store_that_others_have_open_is_not_moved_away(filled, folder, monkeypatch):
    import asof.online.lmdb as adapter

    monkeypatch.setattr(adapter, "_probed", lambda _: ["a fault"])
    with pytest.raises(TransientError, match=r"another process has the online store open.*a fault.*end the processes"):
        asof.open(folder, repair=True)
    (finding,) = filled.quality.doctor(repair=True).findings
    assert "a fault" in str(finding)
    assert "close the store and run `asof doctor --repair`" in finding.todo


def test_wrong_rows_online_are_found_and_mended(filled):
    group = filled._parts.registry.group("weather")
    env, table = filled._parts.online._env, filled._parts.online._table(group.id)
    with env.begin(write=True) as txn:
        txn.delete(b"JFK\0\0", db=table)
        txn.put(b"AAA\0\0", txn.get(b"AAB\0\0", db=table)[:16] + b"\x90", db=table)
        txn.put(b"XXXXX\0\0", txn.get(b"AAB\0\0", db=table), db=table)
    (finding,) = filled.quality.doctor().findings
    assert "weather@1: 3 of 4,001 keys differ from history" in str(finding)
    assert "asof doctor --repair" in str(finding)
    (mended,) = filled.quality.doctor(repair=True).findings
    assert mended.repaired
    assert filled.quality.doctor().findings == ()
    assert filled.online("weather", {"origin": "JFK"}).values["temp"] == 7.0
    assert filled.online("weather", {"origin": "XXXXX"}).statuses["temp"] == "MISSING"


def test_after_a_power_cut_the_online_store_is_built_again(filled, folder):
    clock = filled._parts.clock
    mark = folder / "online" / "CLEAN"
    assert mark.read_text().strip().endswith(" -1")  # open: whoever finds it so after a reboot knows
    filled.close()
    expected = answers(folder, clock)
    boot, _, last = mark.read_text().strip().partition(" ")
    assert int(last) > 0
    with asof.open(folder, clock=clock) as store:  # a loss that only a power cut can make
        group = store._parts.registry.group("weather")
        with store._parts.online._env.begin(write=True) as txn:
            txn.delete(b"JFK\0\0", db=store._parts.online._table(group.id))
        assert mark.read_text().strip() == f"{boot} -1"
    mark.write_text("another-boot -1")
    assert answers(folder, clock) == expected
    mark.write_text("another-boot -1")
    with asof.open(folder, clock=clock) as store:
        assert not store._parts.online.suspect
        assert mark.read_text().strip() == f"{boot} -1"
        assert store.quality.doctor().findings == ()


def test_a_clean_close_before_a_reboot_is_trusted(filled, folder):
    clock = filled._parts.clock
    filled.close()
    mark = folder / "online" / "CLEAN"
    mark.write_text("another-boot " + mark.read_text().partition(" ")[2])
    with asof.open(folder, clock=clock) as store:
        group = store._parts.registry.group("weather")
        assert store._parts.online.count(group.id) == 4001
        assert not store._parts.online.suspect


PARQUET = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "garbage": lambda content: b"x" * len(content),
    "footer gone": lambda content: content[:-8] + bytes(8),
    "a page zeroed": lambda content: content[:200] + bytes(400) + content[600:],
    "a byte turned": lambda content: content[:300] + bytes([content[300] ^ 0x10]) + content[301:],
    "gone": None,
}


@pytest.mark.parametrize("case", PARQUET)
def test_a_damaged_data_file_is_found_and_named(filled, folder, case):
    file = max((folder / "history").glob("weather*/*.parquet"), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    damage = PARQUET[case]
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(content))
    for repair in (False, True):
        found = filled.quality.doctor(repair=repair)
        assert not found.healthy
        (finding,) = [f for f in found.findings if f.where == "history"]
        assert str(file) in finding.what
        assert "weather@1" in finding.what
        assert "bring the file back from a backup" in finding.todo
        assert not finding.repaired
    # What does not need the file goes on; the rest fails with an error of ours.
    assert filled.online("weather", {"origin": "JFK"}).values["temp"] == 7.0
    assert len(filled.read("gates")) == 1
    file.write_bytes(content)
    assert filled.quality.doctor().findings == ()


def test_reading_a_damaged_data_file_is_an_error_of_ours(filled, folder):
    file = max((folder / "history").glob("weather*/*.parquet"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(PermanentError, match=rf"(?s){file.name}.*asof doctor"):
        filled.read("weather")
    with pytest.raises(PermanentError, match=file.name):
        filled.compact("weather")
    file.unlink()
    with pytest.raises(TransientError, match=r"a data file is gone.*asof doctor"):
        filled.read("weather")


def test_repair_names_what_it_cannot_rebuild_and_mends_the_rest(filled, folder):
    clock = filled._parts.clock
    filled.close()
    file = max((folder / "history").glob("weather*/*.parquet"), key=lambda path: path.stat().st_size)
    file.write_bytes(b"x" * 100)
    online = folder / "online" / "data.mdb"
    online.write_bytes(b"x" * 10_000)
    with asof.open(folder, clock=clock, repair=True) as store:
        found = store.quality.doctor(repair=True)
        assert not found.healthy
        assert any(str(file) in finding.what for finding in found.findings)
        assert store.online("gates", {"number": 1, "wing": 1}).values["busy"] is True


def test_debris_of_dead_writers_goes_and_that_of_living_ones_stays(filled, folder):
    (table,) = (folder / "history").glob("weather*")
    dead = [table / "0123456789ab-0123456789ab.parquet", table / "0123456789ab-0123456789ac.parquet.part"]
    for path in dead:
        path.write_bytes(b"x")
    ours = filled._parts.history._writer_name()
    living = table / f"{ours}-0123456789ab.parquet"
    living.write_bytes(b"x")
    (finding,) = filled.quality.doctor().findings
    assert "2 files that no commit names" in str(finding)
    assert filled.quality.doctor(repair=True).healthy
    assert [path.exists() for path in (*dead, living)] == [False, False, True]
    living.unlink()
    assert filled.quality.doctor().findings == ()
