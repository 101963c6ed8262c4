"""Many processes on one store at once."""

import json
from datetime import UTC, datetime

import pytest

import asof

SECONDS = 3


@pytest.mark.slow
def test_four_writers_and_four_readers_get_along(tmp_path, zygote, group):
    folder = tmp_path / "features"
    with asof.open(folder) as store:
        store.apply(group("a"))
        logs = [tmp_path / f"log{n}" for n in range(8)]
        workers = [zygote.start("write", str(folder), str(logs[n]), n, SECONDS) for n in range(4)]
        workers += [zygote.start("read", str(folder), str(logs[n]), SECONDS) for n in range(4, 8)]
        statuses = [zygote.wait(pid) for pid in workers]
        assert statuses == [0] * 8, zygote.errors.read_text()
        counts = [json.loads(log.read_text()) for log in logs]
        assert min(counts) >= 5
        rows = store.read("a", columns=["k", "op"]).to_arrow().to_pydict()
        for writer, count in enumerate(counts[:4]):
            mine = sorted(op for k, op in zip(rows["k"], rows["op"], strict=True) if k == writer)
            assert mine == list(range(1, count + 1))  # all that was acknowledged, once
        served = store.online("a", [{"k": k} for k in range(4)])
        assert [vector.values["op"] for vector in served] == counts[:4]
        numbers = [commit.number for commit in store.catalog.commits("a")]
        assert numbers == sorted(set(numbers))
        times = [commit.committed_at for commit in store.catalog.commits("a")]
        assert times == sorted(set(times))
        assert store.quality.doctor().healthy


@pytest.mark.slow
def test_processes_that_make_the_same_store_at_once_share_it(tmp_path, zygote):
    for turn in range(3):
        folder = tmp_path / f"features{turn}"
        logs = [tmp_path / f"w{turn}_{n}.json" for n in range(6)]
        start = datetime.now(UTC).timestamp() + 0.15  # noqa: TID251 - what the processes share
        workers = [zygote.start("open", str(folder), str(log), start) for log in logs]
        statuses = [zygote.wait(pid) for pid in workers]
        assert statuses == [0] * 6, zygote.errors.read_text()
        assert all(json.loads(log.read_text()) for log in logs)
        with asof.open(folder) as store:
            assert len(store.read("a")) == 6
            assert len(store.catalog.groups()) == 7
            assert store.quality.doctor().healthy
