"""`import asof` is light: engines load when a store opens."""

import subprocess
import sys

HEAVY = [
    "alembic",
    "deltalake",
    "duckdb",
    "lmdb",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "rich",
    "sqlalchemy",
    "click",
]


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_import_loads_no_engine():
    loaded = run("import asof, sys; print(*sys.modules)")
    assert set(HEAVY).isdisjoint(loaded)
    assert "asof.errors" in loaded


def test_definitions_need_no_engine():
    code = """
import sys
from asof import Check, Entity, Feature, FeatureGroup, FeatureView
entity = Entity("e", {"k": "string"})
group = FeatureGroup("g", entity=entity, features=[Feature("x", "float64")], checks=[Check.not_null("x")])
FeatureView("v", features=[group["x"]])
print(*sys.modules)
"""
    assert set(HEAVY).isdisjoint(run(code))


def test_an_open_store_loads_no_dataframe_package_and_no_migrations(tmp_path):
    code = f"""
import asof, sys
with asof.open({str(tmp_path / "store")!r}):
    print(*sys.modules)
"""
    assert {"pandas", "polars", "alembic", "rich", "click"}.isdisjoint(run(code))


def test_the_public_names_are_sorted_and_there():
    import asof

    assert sorted(asof.__all__) == asof.__all__
    assert all(hasattr(asof, name) for name in asof.__all__)
