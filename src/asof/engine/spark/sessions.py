"""Spark sessions: one that is there is used, else one is started. PySpark is imported here and below, by who asks."""

import os
import shutil
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from asof.errors import MissingDependencyError, PermanentError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OURS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
}
"""Settings of a session that we start, unless the URL says otherwise."""

ON_LOOPBACK = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
"""And of one whose executors are in this machine: the name of the machine need not be known to anybody."""

_starting = threading.Lock()


def master_of(url: str) -> tuple[str, dict[str, str]]:
    """Return the master and the settings that an engine's URL names.

    Args:
        url: "spark", "spark:local[2]" or "spark:spark://host:7077", each perhaps with settings of Spark:
            "spark:local[2]?spark.sql.shuffle.partitions=4".

    Raises:
        UsageError: A setting is none of Spark's.
    """
    master, _, query = url.partition(":")[2].partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    for name in settings:
        if not name.startswith("spark."):
            raise UsageError(f"{name!r} is no setting of Spark", where=url, todo='their names begin with "spark."')
    return master, settings


def open_session(master: str, settings: Mapping[str, str]) -> "SparkSession":
    """Return the session of this process; one is started if there is none, and lives as long as the process.

    Args:
        master: Where a new session runs; "": on all cores of this machine.
        settings: Settings of a new session.

    Raises:
        MissingDependencyError: PySpark or Java is not installed.
        PermanentError: Spark does not start, or its session is one of Spark Connect.
    """
    try:
        from pyspark import SparkContext  # noqa: PLC0415 - an extra
        from pyspark.errors import PySparkException  # noqa: PLC0415
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("pyspark", extra="spark") from error
    with _starting:
        session = SparkSession.getActiveSession()
        try:
            if session is None:
                running = SparkContext._active_spark_context is not None  # noqa: SLF001 - there is no other way to ask
                session = SparkSession.builder.getOrCreate() if running else _started(master, settings)
        except (PySparkException, OSError) as error:
            reason = " ".join(str(error).split())
            raise PermanentError(f"Spark does not start: {reason}", where=master, todo="see what it printed") from error
    if not hasattr(session, "_jsparkSession"):
        raise PermanentError(
            "the session of this process is one of Spark Connect", todo="start one of its own, as spark:local[*] does"
        )
    return session


def _started(master: str, settings: Mapping[str, str]) -> "SparkSession":
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

    if not _has_java():
        raise MissingDependencyError(
            "Java", extra="spark", todo="install Java 17, on Debian: apt install openjdk-17-jre-headless"
        )
    master = master or "local[*]"
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # tasks run this Python, which has asof
    builder = SparkSession.builder.appName("asof").master(master)
    ours = OURS | (ON_LOOPBACK if master.startswith("local") else {})
    for name, value in (ours | dict(settings)).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return (home is not None and Path(home, "bin", "java").exists()) or shutil.which("java") is not None
