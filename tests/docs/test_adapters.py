"""The adapter that docs/adapters.md shows is complete: taken off the page and installed, it passes the whole suite."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

import asof
from asof import Entity, Feature, FeatureGroup
from asof.parts.open import _adapter
from asof.testing.online import OnlineStoreSuite

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(kind):
    return [text for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if language == kind]


@pytest.fixture
def installed(tmp_path):
    """Install the adapter as pip would: its module, and its metadata with the entry points of the page."""
    code, test = blocks("python")
    project, _ = map(tomllib.loads, blocks("toml"))
    folder = tmp_path / "installed"
    metadata = folder / "asof_sqlite-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "asof_sqlite.py").write_text(code)
    (folder / "test_asof_sqlite.py").write_text(test)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: asof-sqlite\nVersion: 0.1.0\n")
    points = project["project"]["entry-points"]
    lines = [
        line for group, named in points.items() for line in (f"[{group}]", *(f"{n} = {v}" for n, v in named.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
def test_the_adapter_of_the_page_passes_the_whole_suite(installed):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "test_asof_sqlite.py"],
        cwd=installed,
        env=os.environ | {"PYTHONPATH": str(installed)},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    tests = sum(name.startswith("test_") for name in dir(OnlineStoreSuite))
    passed = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)  # and none skipped
    assert passed, done.stdout
    assert int(passed[1]) >= tests


def test_a_store_uses_the_adapter_of_the_page_by_its_url(installed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    _adapter.cache_clear()
    _, settings = blocks("toml")
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "asof.toml").write_text(settings)
    group = FeatureGroup(
        "g", entity=Entity("e", keys={"k": "string"}), features=[Feature("x", "int64")], event_time="at", online=True
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with asof.open(folder, clock=lambda: at) as store:
        store.apply(group)
        store.write("g", [{"k": "a", "at": at, "x": 1}, {"k": "b", "at": at, "x": 2}])
        store.retract(store.push("g", {"k": "a", "at": at, "x": 3}), reason="wrong")
    with asof.open(folder, clock=lambda: at) as store:
        vectors = store.online("g", [{"k": "a"}, {"k": "b"}, {"k": "c"}])
        assert [vector.values["x"] for vector in vectors] == [1, 2, None]
        assert store.quality.doctor().healthy
        assert not store.verify("g").differences
    assert (folder / "online.db").exists()


def test_the_page_names_ports_and_suites_that_exist():
    names = re.findall(r"`(asof\.[a-z_.]+\.[A-Z]\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(names) >= 9
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
