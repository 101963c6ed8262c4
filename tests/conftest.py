"""How long properties are searched: quickly by default, `pytest --hypothesis-profile=long` for an hour of it, and
`=fast` for what `make test-fast` has time for.

And the servers that any test may ask for; each starts when the first test does, and runs to the end.
"""

import gc
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from asof.engine.spark.sessions import master_of, open_session
from asof.testing.servers import (
    KafkaServer,
    MariaDbServer,
    NatsServer,
    PostgresServer,
    RedisServer,
    S3Server,
    missing,
)
from asof.testing.spark import SPARK, spark_missing

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # MLflow would tell its makers of each call

# Processes of tests are forked by one that has imported what takes a second of each (`asof.testing.processes`). Nothing of
# asof.server: prometheus_client looks at the environment when it is imported.
multiprocessing.set_forkserver_preload(
    [
        "asof.cli.app",
        "asof.cli.commands.serve",
        "asof.engine.duckdb",
        "asof.offline.delta",
        "asof.online.lmdb",
        "asof.online.postgres",
        "asof.online.redis",
        "asof.quality.doctor",
        "asof.registry.sql",
        "asof.store",
        "asof.streams.kafka",
        "asof.streams.nats",
        "asof.streams.redis_streams",
        "asof.testing.commit_log",
        "asof.testing.history",
        "asof.testing.keys",
        "asof.testing.online",
        "httptools",
        "pandas",
        "pyarrow.flight",
        "pymysql",
        "starlette.applications",
        "uvicorn",
        "uvloop",
    ]
)

for name, examples in (("fast", 20), ("quick", 60), ("long", 3000)):
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,  # an example is a store's work: files, syncs, queries
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("quick")


SERVERS = {
    "redis_server",
    "postgres_server",
    "mariadb_server",
    "own_redis",
    "own_postgres",
    "own_mariadb",
    "registry_server",
    "s3_server",
    "own_registry_server",
    "kafka_server",
    "nats_server",
    "own_nats",
    "spark_session",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Call tests slow that need a server: it takes seconds to start. Begin with the longest: else one core waits for them."""
    items.sort(key=lambda item: item.get_closest_marker("begun_first") is None)
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        named = any(value in ("redis", "postgresql", "mysql") for value in params.values() if isinstance(value, str))
        if named or SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Have two workers more than cores: a third of the time a test waits, for a server, a process or a time-out.

    Two workers keep two cores busy for two thirds of a run. Each worker costs 20 s of a core to begin with.
    """
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 2


def pytest_collection_finish() -> None:
    """Have garbage searched for among what tests make, not each time among all modules and tests too: they stay."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Have all freed in the end: bindings complain of what is not."""
    gc.unfreeze()


def need(program: str) -> None:
    """Skip the test where a server is not installed; fail in CI, where nothing may be left out."""
    package = missing().get(program)
    if package is not None:
        lacks(program, f"apt-get install {package}")


def lacks(program: str, command: str) -> None:
    """Skip the test, or fail in CI, for want of what a command installs."""
    said = f"{program} is not installed, so this is not tested; to have it: {command}"
    if os.environ.get("CI"):
        pytest.fail(said, pytrace=False)
    pytest.skip(said)


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """Give a folder that a server may use under another user: pytest's own are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="asof-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


PROGRAMS = {
    RedisServer: "redis-server",
    PostgresServer: "postgres",
    MariaDbServer: "mariadbd",
    NatsServer: "nats-server",
}
S = TypeVar("S", RedisServer, PostgresServer, MariaDbServer, S3Server, NatsServer, KafkaServer)


def started(kind: type[S], *options: dict[str, str], killed: bool = False) -> Iterator[S]:
    """Give a server that runs, in a folder of its own; in the end it is stopped, or killed."""
    if kind in PROGRAMS:
        need(PROGRAMS[kind])
    with folder_for_all() as folder:
        server = kind(folder / "server", *options)
        server.start()
        yield server
        if killed:
            server.kill()
        else:
            server.stop()


@pytest.fixture(scope="session")
def spark_session() -> Iterator[Any]:
    """Give the Spark session of this process, which engines use too; it is started with the settings of tests."""
    command = spark_missing()
    if command is not None:
        lacks("Spark", command)
    session = open_session(*master_of(SPARK))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Give a Redis for all tests; stores are apart by their folders."""
    yield from started(RedisServer)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL for all tests; stores are apart by their folders."""
    yield from started(PostgresServer)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDbServer]:
    """Give a MariaDB for all tests; registries are apart by their databases."""
    yield from started(MariaDbServer)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Give object storage for all tests; histories are apart by their prefixes."""
    yield from started(S3Server, killed=True)


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    """Give a Kafka for all tests; topics are apart by their names."""
    yield from started(KafkaServer, killed=True)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """Give a NATS for all tests; streams are apart by their names."""
    yield from started(NatsServer)


@pytest.fixture
def own_nats() -> Iterator[NatsServer]:
    """Give a NATS of the test's own, to be killed."""
    yield from started(NatsServer, killed=True)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Give a Redis of the test's own, to be killed."""
    # With a sync each second, a killed Redis may lack two seconds of what it answered, on a slow disk.
    yield from started(RedisServer, {"appendfsync": "always"}, killed=True)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """Give a PostgreSQL of the module's own, to be killed; a test that kills it starts it again."""
    yield from started(PostgresServer, killed=True)


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[MariaDbServer]:
    """Give a MariaDB of the module's own, to be killed; a test that kills it starts it again."""
    yield from started(MariaDbServer, killed=True)
