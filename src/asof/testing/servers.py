"""Real servers on loopback, for tests of adapters that need one: each in a folder of its own, on a free port.

    server = RedisServer(folder)
    server.start()
    ...                     # server.url
    server.kill()           # as a crash does
    server.start()          # with what it had on disk

They need the programs of the Debian packages `redis-server`, `postgresql`, `mariadb-server`, `haproxy` and
`nats-server`; `missing` says which are not there. The object storage is the package `moto[s3]`, served with `flask` and
`flask-cors`; the Kafka lies in the wheel `confluent-kafka`.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 120.0
PACKAGES: Mapping[str, str] = {
    "redis-server": "redis-server",
    "postgres": "postgresql",
    "mariadbd": "mariadb-server",
    "haproxy": "haproxy",
    "nats-server": "nats-server",
    "chromium": "chromium",
}
"""Program to the Debian package that has it."""

PORTS = random.SystemRandom()  # tests set the seed of the other one, each process the same

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of PostgreSQL, a folder a version."""


def program(name: str) -> str | None:
    """Return the path of a server's program; None if it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        found = str(versions[-1]) if versions else None
    return found


def missing() -> dict[str, str]:
    """Return the programs that are not installed, and the package that has each."""
    return {name: package for name, package in PACKAGES.items() if program(name) is None}


def free_port() -> int:
    """Return a port of loopback that nobody listens on; it is below those that Linux gives to who asks for any.

    A server that is killed and started again finds it free: no other process has called out from it meanwhile.
    """
    while True:
        port = PORTS.randrange(20_000, 32_000)
        with socket.socket() as taken, suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return port


class _Server:
    """A process that serves on a port.

    Attributes:
        folder: Where it keeps its files.
        port: Where it listens; the same after each start.
    """

    _ending = signal.SIGINT

    def __init__(self, folder: Path) -> None:
        """Start nothing yet; the folder is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        """What a store's settings would say."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and return when it answers."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            with (self.folder / "log").open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - a server that the tests ask for
                    self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._account()
                )
            while process.poll() is None and time.monotonic() < end:
                if self._answers():
                    self._process = process
                    return
                time.sleep(0.02)
            if time.monotonic() >= end:
                process.kill()
                process.wait()
                said = (self.folder / "log").read_text(errors="replace")
                raise RuntimeError(f"the server does not start: {said[-2000:]}")
            time.sleep(0.1)  # it ended: what a killed one leaves is in the way for a moment

    def stop(self) -> None:
        """End it in good order, if it runs."""
        self._end(self._ending)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: it takes connections, and answers none, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(PATIENCE_SECONDS)

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _account(self) -> dict[str, Any]:
        return {}

    def _answers(self) -> bool:
        raise NotImplementedError


class RedisServer(_Server):
    """A Redis that appends to a file, and syncs it each second, as most do.

    Args:
        folder: Where it keeps its file.
        options: Further options, such as {"maxmemory": "10mb"}.
    """

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        """Start nothing yet."""
        super().__init__(folder)
        self._options = {"appendonly": "yes", "save": "", **(options or {})}

    @property
    def url(self) -> str:
        """What a store's settings would say."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        """Its socket in the file system."""
        return self.folder / "socket"

    def _command(self) -> Sequence[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "unixsocket": str(self.socket),
            **self._options,
        }
        return [program("redis-server") or "", *(word for name in options for word in (f"--{name}", options[name]))]

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as wire:
                wire.sendall(b"PING\r\n")
                return wire.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


class PostgresServer(_Server):
    """A PostgreSQL with one database, whose user is trusted; it runs as the user postgres where we are root."""

    @property
    def url(self) -> str:
        """What a store's settings would say."""
        return f"postgresql://asof@127.0.0.1:{self.port}/postgres"

    def registry_url(self, name: str) -> str:
        """Return the address of a registry of its own."""
        return f"{self.url}?schema={name}"

    def start(self) -> None:
        """Start it, and return when it answers; make its files first if there are none."""
        if not (self.folder / "data" / "PG_VERSION").exists():
            if os.getuid() == 0:
                shutil.chown(self.folder, "postgres")
            command = [program("initdb") or "", "-D", str(self.folder / "data"), "-U", "asof"]
            command += ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
            subprocess.run(command, check=True, capture_output=True, **self._account())  # noqa: S603 - our own words
        super().start()

    def _signal(self, number: signal.Signals) -> None:
        """Tell its processes too: each connection has one."""
        super()._signal(number)
        if self._process is not None:
            pid = self._process.pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), number)

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # a killed process loses nothing: the pages belong to the kernel
            "max_connections": "60",
            "dynamic_shared_memory_type": "mmap",  # in its folder: what a killed one leaves goes with it
        }
        words = [word for name in settings for word in ("-c", f"{name}={settings[name]}")]
        return [program("postgres") or "", "-D", str(self.folder / "data"), "-p", str(self.port), *words]

    def _account(self) -> dict[str, Any]:
        return {"cwd": self.folder, **_as("postgres")}

    def _answers(self) -> bool:
        asked = [program("pg_isready") or "", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        return subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - our own words


class MariaDbServer(_Server):
    """A MariaDB with one database, whose user needs no password; it runs as the user mysql where we are root."""

    _ending = signal.SIGTERM

    @property
    def url(self) -> str:
        """What a store's settings would say."""
        return f"mysql://asof@127.0.0.1:{self.port}/asof"

    def registry_url(self, name: str) -> str:
        """Return the address of a registry of its own, whose database is made if it is not there."""
        words = [program("mariadb") or "", "--no-defaults", "--host=127.0.0.1", f"--port={self.port}", "--user=asof"]
        made = f"--execute=CREATE DATABASE IF NOT EXISTS `{name}`"
        subprocess.run([*words, made], check=True, capture_output=True)  # noqa: S603 - our own words
        return f"{self.url.removesuffix('asof')}{name}"

    def start(self) -> None:
        """Start it, and return when it answers; make its files first if there are none."""
        if not (self.folder / "data" / "mysql").exists():
            if os.getuid() == 0:
                shutil.chown(self.folder, "mysql")
            command = [program("mariadb-install-db") or "", "--no-defaults", f"--datadir={self.folder / 'data'}"]
            command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
            subprocess.run(command, check=True, capture_output=True, **self._account())  # noqa: S603 - our own words
            (self.folder / "users.sql").write_text(
                "CREATE DATABASE IF NOT EXISTS asof;\n"
                "CREATE USER IF NOT EXISTS 'asof'@'127.0.0.1';\n"
                "GRANT ALL ON *.* TO 'asof'@'127.0.0.1' WITH GRANT OPTION;\n"
            )
        super().start()

    def _command(self) -> Sequence[str]:
        settings = {
            "datadir": str(self.folder / "data"),
            "init-file": str(self.folder / "users.sql"),
            "socket": str(self.folder / "socket"),
            "pid-file": str(self.folder / "pid"),
            "port": str(self.port),
            "bind-address": "127.0.0.1",
            "innodb-flush-log-at-trx-commit": "2",  # a killed process loses nothing: the pages belong to the kernel
            "innodb-buffer-pool-size": "32M",
            "max-connect-errors": "1000000",  # each of our looks whether it answers counts as one
        }
        words = [f"--{name}={value}" for name, value in settings.items()]
        return [program("mariadbd") or "", "--no-defaults", "--skip-name-resolve", "--skip-log-bin", *words]

    def _account(self) -> dict[str, Any]:
        return {"cwd": self.folder, **_as("mysql")}

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as wire:
                return wire.recv(64)[4:5] == b"\n"  # the version of its protocol
        except OSError:
            return False


class S3Server(_Server):
    """Object storage with the protocol of S3, in memory, with one bucket: a restart empties it."""

    BUCKET = "asof"

    @property
    def url(self) -> str:
        """What a store's settings would say."""
        return f"s3://{self.BUCKET}/history"

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """Return the variables by which a store gets there, or through a proxy."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": "of-tests",
            "AWS_SECRET_ACCESS_KEY": "secret-of-tests",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, make the bucket, and return."""
        super().start()
        self.request("PUT", "")

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask it around the port, such as ("GET", "?uploads") of the bucket."""
        url = f"{self.endpoint}/{self.BUCKET}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:  # noqa: S310 - loopback
            return bytes(answer.read())

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def _answers(self) -> bool:
        with socket.socket() as wire:
            wire.settimeout(1)
            return wire.connect_ex(("127.0.0.1", self.port)) == 0


class NatsServer(_Server):
    """A NATS with JetStream, which keeps its messages in files."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    def _command(self) -> Sequence[str]:
        words = ["-js", "-sd", str(self.folder), "-a", "127.0.0.1", "-p", str(self.port)]
        return [program("nats-server") or "", *words]

    def _answers(self) -> bool:
        with socket.socket() as wire:
            wire.settimeout(1)
            return wire.connect_ex(("127.0.0.1", self.port)) == 0


class KafkaServer(_Server):
    """The Kafka that librdkafka has for tests: its protocol over TCP, groups and all, with messages in memory.

    A topic is made by a producer that asks for it, with four partitions. A restart empties it, and moves it to another
    port. It keeps the newest 5 MB of a partition, knows no topics to be made or deleted and no passwords, and it
    answers who waits for messages when the waiting is over, not when one comes.
    """

    @property
    def url(self) -> str:
        """Where it is."""
        return f"kafka://{self.bootstrap}"

    @property
    def bootstrap(self) -> str:
        """Where it is, for clients of Kafka."""
        return (self.folder / "bootstrap").read_text()

    def start(self) -> None:
        """Start it, and return when it answers."""
        (self.folder / "bootstrap").unlink(missing_ok=True)
        super().start()

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-c", _KAFKA, str(self.folder / "bootstrap")]

    def _answers(self) -> bool:
        return (self.folder / "bootstrap").exists()


_KAFKA = """
import os, sys, time
from confluent_kafka import Producer

place = sys.argv[1]
broker = Producer({"test.mock.num.brokers": 1})
known = broker.list_topics(timeout=30).brokers.values()
with open(place + ".new", "w") as file:
    file.write(",".join(f"{each.host}:{each.port}" for each in known))
os.rename(place + ".new", place)
while True:
    broker.poll(1)
"""


def _as(user: str) -> dict[str, Any]:
    """Return what runs a program as a user, where we are root."""
    groups: list[int] = []
    return {"user": user, "group": user, "extra_groups": groups} if os.getuid() == 0 else {}
