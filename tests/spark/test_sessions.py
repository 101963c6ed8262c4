"""How an engine finds Spark, and what it says where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asof.engine.spark.engine import SparkEngine
from asof.engine.spark.sessions import master_of
from asof.errors import UsageError
from asof.testing.spark import spark_missing

ASK = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None
from asof.engine.spark.sessions import open_session
from asof.errors import MissingDependencyError
try:
    open_session("local[1]", {})
except MissingDependencyError as error:
    print(error)
"""


def said(*hidden: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ASK, *hidden], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return done.stdout


def test_without_pyspark_it_says_what_to_install() -> None:
    assert said("pyspark") == "the package 'pyspark' is not installed -> pip install \"asof[spark]\"\n"


@pytest.mark.skipif(spark_missing() is not None, reason="PySpark is not installed: it would be what lacks")
def test_without_java_it_says_what_to_install(tmp_path: Path) -> None:
    assert said(PATH=str(tmp_path), JAVA_HOME="") == (
        "the package 'Java' is not installed -> install Java 17, on Debian: apt install openjdk-17-jre-headless\n"
    )


@pytest.mark.parametrize(
    ("url", "master", "settings"),
    [
        ("spark", "", {}),
        ("spark:local[2]", "local[2]", {}),
        ("spark:spark://host:7077", "spark://host:7077", {}),
        ("spark:local[1]?spark.a=1&spark.b=x%2By", "local[1]", {"spark.a": "1", "spark.b": "x+y"}),
    ],
)
def test_a_url_names_the_master_and_settings(url: str, master: str, settings: dict[str, str]) -> None:
    assert master_of(url) == (master, settings)


def test_a_setting_that_is_none_of_sparks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'memory_limit' is no setting of Spark"):
        SparkEngine("spark:local[2]?memory_limit=2GB", root=str(tmp_path))


def test_a_store_is_opened_without_spark(tmp_path: Path) -> None:
    code = (
        "import sys, asof\n"
        f"store = asof.open({str(tmp_path / 'store')!r}, create=True)\n"
        "store.close()\n"
        "print('pyspark' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"ASOF_ENGINE": "spark:local[2]"},
    )
    assert done.stdout == "False\n"
