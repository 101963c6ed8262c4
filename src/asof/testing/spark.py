"""Spark for tests: a session of two cores in this machine, that starts and asks as fast as one can."""

import importlib.util
import shutil
from urllib.parse import urlencode

_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
_SETTINGS = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.extraJavaOptions": _JAVA,
}

SPARK = f"spark:local[2]?{urlencode(_SETTINGS)}"
"""The engine's URL. Tests ask of a few rows, and wait for what prepares Spark for many: so no code is made for a query,
and the Java machine checks no classes and compiles them once (it starts in 9 s instead of 25)."""


def spark_missing() -> str | None:
    """Return what to install so that Spark runs; None if nothing lacks."""
    if importlib.util.find_spec("pyspark") is None:
        return "make servers (it installs pyspark into .venv)"
    return None if shutil.which("java") else "apt-get install openjdk-17-jre-headless"
