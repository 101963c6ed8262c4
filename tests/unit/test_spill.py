"""Where queries spill, and where they do not."""

from asof.engine.duckdb import DuckDBEngine
from asof.engine.spill import Spill, sweep


def temp_directory(engine):
    return engine._connection.execute("SELECT current_setting('temp_directory')").fetchone()[0]


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
