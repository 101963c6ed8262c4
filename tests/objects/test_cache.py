"""The file cache: bounded, shared, checked, and safe under kills."""

import hashlib
import os
import random
import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asof.errors import PermanentError, TransientError, UsageError
from asof.offline.cache import FileCache, Wanted, cache_bytes, cache_folder
from asof.testing.processes import exit_code_of, in_processes

SIZE = 1000


def content(number):
    return random.Random(number).randbytes(SIZE)


def wanted(number, *, told=True):
    sha256 = hashlib.sha256(content(number)).hexdigest() if told else ""
    return Wanted(f"g/{number}", SIZE, sha256, f"s3://b/g/{number}")


class Storage:
    """Gives files by their numbers, and counts."""

    def __init__(self):
        self.fetched = []
        self.damaged = 0
        self.seconds = 0.0

    def fetch(self, each, to):
        number = int(each.name.partition("/")[2])
        self.fetched.append(number)
        time.sleep(self.seconds)
        if self.damaged:
            self.damaged -= 1
            to.write_bytes(content(number)[:-1] + b"?")
        else:
            to.write_bytes(content(number))


def cache_in(folder, storage, most=10**6, owner="a"):
    return FileCache(folder, most, owner=owner, fetch=storage.fetch)


@pytest.fixture
def storage():
    return Storage()


@pytest.fixture
def cache(tmp_path, storage):
    made = cache_in(tmp_path / "c", storage, most=5 * SIZE)
    yield made
    made.close()


def kept(folder):
    return sorted(place.name for place in folder.glob("c/*/files/*"))


def read(cache, *numbers, told=True):
    every = [wanted(number, told=told) for number in numbers]
    with cache.holding(every) as places:
        assert [Path(places[each.name]).read_bytes() for each in every] == [content(n) for n in numbers]


@pytest.mark.parametrize("told", [True, False])
def test_a_file_is_fetched_once(cache, storage, told):
    for _ in range(3):
        read(cache, 1, 2, told=told)
    assert sorted(storage.fetched) == [1, 2]


def test_the_folder_is_closed_to_other_users(tmp_path, storage):
    (tmp_path / "c").mkdir(mode=0o755)
    cache_in(tmp_path / "c", storage).close()
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o700


def test_files_are_kept_under_the_hash_of_their_bytes(cache, tmp_path):
    read(cache, 1, 2)
    for place in tmp_path.glob("c/*/files/*"):
        assert hashlib.sha256(place.read_bytes()).hexdigest() == place.name


def test_what_was_used_last_stays(cache, storage, tmp_path):
    for number in range(5):
        read(cache, number)
        time.sleep(0.02)  # the clock of files may go on in steps of 10 ms
    read(cache, 0)
    time.sleep(0.02)
    read(cache, 5)
    read(cache, 6)
    assert kept(tmp_path) == sorted(wanted(n).sha256 for n in (0, 3, 4, 5, 6))
    del storage.fetched[:]
    read(cache, 0)
    assert storage.fetched == []


def test_what_is_being_read_outlives_eviction_and_room_is_made_after_it(cache, tmp_path):
    every = [wanted(number) for number in range(12)]
    with cache.holding(every) as places:
        assert len(kept(tmp_path)) == 5
        read(cache, 20, 21, 22, 23, 24)
        assert [Path(place).read_bytes() for place in places.values()] == [content(n) for n in range(12)]
    assert not list(tmp_path.glob("c/held/*/*.parquet"))


def test_a_cache_of_no_size_keeps_nothing_and_reads_all_the_same(tmp_path, storage):
    cache = cache_in(tmp_path / "c", storage, most=0)
    read(cache, 1)
    read(cache, 1)
    cache.close()
    assert kept(tmp_path) == []
    assert storage.fetched == [1, 1]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("damage", [lambda b: b[:-1] + b"?", lambda b: b[:-5], lambda _: b""])
def test_a_copy_that_is_damaged_on_the_disk_is_found_when_it_is_opened_and_fetched_again(
    cache, storage, tmp_path, damage, told
):
    read(cache, 1, told=told)
    (place,) = tmp_path.glob("c/*/files/*")
    times = place.stat()
    time.sleep(0.02)  # the clock of files may go on in steps of 10 ms
    place.write_bytes(damage(place.read_bytes()))
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    read(cache, 1, told=told)
    assert storage.fetched == [1, 1]


def test_a_hash_is_computed_once_by_a_process_unless_somebody_touches_the_file(cache, storage, tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr("asof.offline.cache.sha256_of", lambda place: hashed.append(1) or wanted(1).sha256)
    other = cache_in(tmp_path / "c", storage, owner="a")
    for one, times in ((cache, 1), (cache, 1), (cache, 1), (other, 2), (other, 2), (cache, 3), (cache, 3)):
        time.sleep(0.02)
        read(one, 1)
        assert len(hashed) == times
    other.close()


def test_bytes_that_are_not_those_written_are_fetched_once_more_and_then_refused(cache, storage, tmp_path):
    storage.damaged = 1
    read(cache, 1)
    assert storage.fetched == [1, 1]
    storage.damaged = 2
    with pytest.raises(
        PermanentError, match=r"a file has 1,000 bytes with the hash .*, not the 1,000 written \[s3://b/g/2"
    ):
        read(cache, 2)
    assert kept(tmp_path) == [wanted(1).sha256]
    assert not list(tmp_path.glob("c/held/*/*.p*"))


def test_a_failed_fetch_lets_go_of_the_others(tmp_path):
    def fetch(each, to):
        if each.name == "g/3":
            raise TransientError("busy")
        to.write_bytes(content(int(each.name[2:])))

    cache = FileCache(tmp_path / "c", 10**6, owner="a", fetch=fetch)
    with pytest.raises(TransientError):
        read(cache, 1, 2, 3, 4)
    assert not list(tmp_path.glob("c/held/*/*.p*"))
    read(cache, 1, 2, 4)
    cache.close()


def test_threads_that_want_the_same_file_fetch_it_once(cache, storage):
    storage.seconds = 0.05
    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(read, cache, 1, 2, 3) for _ in range(8)]:
            each.result(timeout=30)
    assert sorted(storage.fetched) == [1, 2, 3]


def test_removed_files_are_gone_from_everywhere_and_can_come_back(cache, storage, tmp_path):
    read(cache, 2)
    with cache.holding([wanted(1), wanted(3, told=False)]):
        cache.remove(["g/1", "g/3"], [wanted(1).sha256])
        assert not [
            place for place in tmp_path.rglob("*") if place.is_file() and place.read_bytes() in (content(1), content(3))
        ]
        read(cache, 1)
    assert kept(tmp_path) == sorted(wanted(n).sha256 for n in (1, 2))
    read(cache, 1, 3, told=False)


def test_a_file_with_the_bytes_of_a_removed_one_stays_for_who_reads_it(tmp_path):
    cache = FileCache(tmp_path / "c", 10**6, owner="a", fetch=lambda _, to: to.write_bytes(content(1)))
    one, twin = wanted(1), Wanted("g/twin", SIZE, wanted(1).sha256, "")
    with cache.holding([one, twin]) as places:
        cache.remove([one.name], [one.sha256])
        assert not Path(places[one.name]).exists()
        assert Path(places[twin.name]).read_bytes() == content(1)
    cache.close()


def test_only_known_files_are_kept_and_those_of_other_owners_stay(cache, storage, tmp_path):
    other = cache_in(tmp_path / "c", storage, owner="b")
    read(other, 9)
    read(cache, 1, 2)
    read(cache, 3, 4, told=False)
    assert cache.keep_only(["g/3", f"g/1-{wanted(1).sha256}.parquet"]) == 2
    assert kept(tmp_path) == sorted(wanted(n).sha256 for n in (1, 3, 9))
    other.close()


def test_a_disk_that_is_full_is_a_clear_error(tmp_path):
    def fetch(each, to):
        raise OSError(28, "No space left on device")

    cache = FileCache(tmp_path / "c", 10**6, owner="a", fetch=fetch)
    with pytest.raises(PermanentError, match=r"no space for the file cache.*free some disk space.*ASOF_CACHE"):
        read(cache, 1)
    cache.close()


def test_a_folder_that_cannot_be_used_is_a_clear_error(tmp_path, storage):
    (tmp_path / "file").write_text("")
    with pytest.raises(PermanentError, match=r"the file cache cannot be used.*ASOF_CACHE"):
        cache_in(tmp_path / "file" / "c", storage)


@pytest.mark.parametrize(
    ("given", "size"), [("0", 0), ("500", 500), ("20MB", 20_000_000), ("1.5 gb", 1_500_000_000), (None, 10**10)]
)
def test_the_size_is_what_the_variable_says(given, size, monkeypatch):
    monkeypatch.delenv("ASOF_CACHE_SIZE", raising=False)
    if given is not None:
        monkeypatch.setenv("ASOF_CACHE_SIZE", given)
    assert cache_bytes() == size


@pytest.mark.parametrize("given", ["", "much", "10 GiB", "-1", "1e9"])
def test_a_size_that_is_none_is_refused(given, monkeypatch):
    monkeypatch.setenv("ASOF_CACHE_SIZE", given)
    with pytest.raises(UsageError, match="ASOF_CACHE_SIZE"):
        cache_bytes()


def test_the_folder_is_the_variables_or_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("ASOF_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "asof"
    monkeypatch.delenv("ASOF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "asof"


def _use(folder, seed, rounds):
    """Read at random from a cache that is too small, together with others."""
    cache = cache_in(Path(folder), Storage(), most=8 * SIZE)
    random_ = random.Random(seed)
    for _ in range(rounds):
        read(cache, *random_.sample(range(20), 4), told=random_.random() < 0.7)
    cache.close()


def _use_and_be_killed(folder, seed):
    signal.setitimer(signal.ITIMER_REAL, random.Random(seed).uniform(0.05, 0.6))
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    _use(folder, seed, 10**6)


@pytest.mark.slow
def test_processes_share_a_cache_that_is_too_small(tmp_path):
    in_processes(_use, [(str(tmp_path / "c"), seed, 100) for seed in range(3)])
    assert len(kept(tmp_path)) <= 8 + 4
    assert not list(tmp_path.glob("c/held/*"))


@pytest.mark.slow
def test_a_cache_is_sound_after_kills_at_any_moment(tmp_path, storage):
    for seed in range(8):
        assert exit_code_of(_use_and_be_killed, str(tmp_path / "c"), seed) == -signal.SIGKILL
    cache = cache_in(tmp_path / "c", storage, most=8 * SIZE)
    assert len(list(tmp_path.glob("c/held/*"))) == 1  # what the dead left is swept
    read(cache, *range(20))
    for place in tmp_path.glob("c/*/files/*"):
        assert hashlib.sha256(place.read_bytes()).hexdigest() == place.name
    cache.close()
