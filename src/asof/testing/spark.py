"""Spark for tests: a session of two cores in this machine, that starts and asks as fast as one can; and a cluster."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

from asof.errors import MissingDependencyError
from asof.testing.servers import PATIENCE_SECONDS, free_port

LOOPBACK = "127.0.0.1"

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


class SparkCluster:
    """A standalone master and workers on loopback, each a process group of its own.

    Attributes:
        folder: Where workers keep what their tasks write.
        url: What a session calls the master.
    """

    def __init__(self, folder: Path, *, workers: int = 2) -> None:
        """Start nothing yet."""
        self.folder, self._count = folder, workers
        self._port = free_port()
        self.url = f"spark://{LOOPBACK}:{self._port}"
        self._master: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the master and its workers; return when the master listens: workers join it by themselves."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._master = self._run("master.Master", "--port", str(self._port), "--webui-port", str(free_port()))
        until = time.monotonic() + PATIENCE_SECONDS
        while not _listens(self._port):
            if self._master.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the master of Spark does not start: see master.Master.log")
            time.sleep(0.1)
        for number in range(self._count):
            options = ("--cores", "1", "--memory", "1g", "--work-dir", str(self.folder / f"work-{number}"))
            self._workers.append(self._run("worker.Worker", *options, "--webui-port", str(free_port()), self.url))

    def kill_worker(self) -> None:
        """Kill a worker, and the executors that it runs, as the end of a machine does."""
        self._end(self._workers.pop())

    def stop(self) -> None:
        """Kill what still runs."""
        for process in (*self._workers, *([self._master] if self._master else [])):
            self._end(process)
        self._workers, self._master = [], None

    def _run(self, name: str, *options: str) -> "subprocess.Popen[bytes]":
        found = importlib.util.find_spec("pyspark")
        if found is None or found.origin is None:
            raise MissingDependencyError("pyspark", extra="spark")
        program = Path(found.origin).parent / "bin" / "spark-class"
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a program of the package
                [str(program), f"org.apache.spark.deploy.{name}", "--host", LOOPBACK, *options],
                env=os.environ | {"SPARK_LOCAL_IP": LOOPBACK, "PYSPARK_PYTHON": sys.executable},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex((LOOPBACK, port)) == 0
