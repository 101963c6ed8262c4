"""Start a standalone Spark master and two workers on loopback, of the PySpark in .venv; Ctrl+C ends them.

    python scripts/spark_cluster.py [--workers N]

It prints the line for `asof.toml`.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from asof.testing.spark import SparkCluster, spark_missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="how many, each with a core and 1 GB")
    workers = parser.parse_args().workers
    command = spark_missing()
    if command is not None:
        print(f"Spark is not installed; to have it: {command}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="asof-spark-") as folder:
        cluster = SparkCluster(Path(folder), workers=workers)
        try:
            cluster.start()
            print(f'engine = "spark:{cluster.url}"', flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
        finally:
            cluster.stop()
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main())
