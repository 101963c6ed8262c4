"""Where queries spill, and where they do not."""

import pytest

from asof.engine.duckdb import DuckDBEngine
from asof.engine.spill import Spill, sweep
from asof.errors import NotFoundError, UsageError


def temp_directory(engine):
    return engine._opened().execute("SELECT current_setting('temp_directory')").fetchone()[0]


def test_an_engine_spills_below_its_store_and_nowhere_else(tmp_path):
    engine = DuckDBEngine(root=str(tmp_path))
    assert temp_directory(engine) == str(engine._spill.folder)
    assert engine._spill.folder.parent == tmp_path / "tmp"
    engine.close()
    for root in ("", str(tmp_path / "missing")):
        engine = DuckDBEngine(root=root)
        assert not temp_directory(engine)
        engine.close()


def test_a_sweep_deletes_the_folders_of_the_dead_only(tmp_path):
    sweep(tmp_path / "tmp")
    alive = Spill(str(tmp_path))
    for name in ("no-lock", "unlocked"):
        (tmp_path / "tmp" / name).mkdir()
    (tmp_path / "tmp" / "unlocked" / "lock").touch()
    (tmp_path / "tmp" / "unlocked" / "rows").write_bytes(b"x")
    sweep(tmp_path / "tmp")
    assert list((tmp_path / "tmp").iterdir()) == [alive.folder]
    alive.close()


@pytest.mark.parametrize("plan", ["", "hash"])
def test_an_engine_keeps_to_the_limits_of_its_url(plan):
    engine = DuckDBEngine(f"duckdb:{plan}?memory_limit=512MiB&threads=1")
    limits = "SELECT current_setting('memory_limit'), current_setting('threads')"
    assert engine._opened().execute(limits).fetchone() == ("512.0 MiB", 1)
    engine.close()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ("memory_limit=much", UsageError, "memory_limit=much is no limit.*write a size such as 2GB"),
        ("threads=0", UsageError, "threads=0 is no limit"),
        ("memory=2GB", NotFoundError, "unknown option 'memory'"),
        ("temp_directory=/tmp", NotFoundError, "unknown option 'temp_directory'"),
    ],
)
def test_a_limit_that_is_none_is_refused(options, error, says):
    with pytest.raises(error, match=f"(?s){says}"):
        DuckDBEngine(f"duckdb:?{options}")
