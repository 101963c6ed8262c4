"""Real servers on loopback, for tests of adapters that need one: each in a folder of its own, on a free port.

    server = RedisServer(folder)
    server.start()
    ...                     # server.url
    server.kill()           # as a crash does
    server.start()          # with what it had on disk

They need the programs of the Debian packages `redis-server` and `postgresql`; `missing` says which are not there.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 30.0
PACKAGES: Mapping[str, str] = {"redis-server": "redis-server", "postgres": "postgresql"}
"""Program to the Debian package that has it."""

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of PostgreSQL, a folder a version."""


def program(name: str) -> str | None:
    """Return the path of a server's program; None if it is not installed."""
    found = shutil.which(name)
    if found is None:
        versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        found = str(versions[-1]) if versions else None
    return found


def missing() -> dict[str, str]:
    """Return the programs that are not installed, and the package that has each."""
    return {name: package for name, package in PACKAGES.items() if program(name) is None}


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class _Server:
    """A process that serves on a port.

    Attributes:
        folder: Where it keeps its files.
        port: Where it listens; the same after each start.
    """

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
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

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

    def start(self) -> None:
        """Start it, and return when it answers; make its files first if there are none."""
        if not (self.folder / "data" / "PG_VERSION").exists():
            if os.getuid() == 0:
                shutil.chown(self.folder, "postgres")
            command = [program("initdb") or "", "-D", str(self.folder / "data"), "-U", "asof"]
            command += ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
            subprocess.run(command, check=True, capture_output=True, **self._account())  # noqa: S603 - our own words
        super().start()

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # a killed process loses nothing: the pages belong to the kernel
            "max_connections": "60",
        }
        words = [word for name in settings for word in ("-c", f"{name}={settings[name]}")]
        return [program("postgres") or "", "-D", str(self.folder / "data"), "-p", str(self.port), *words]

    def _account(self) -> dict[str, Any]:
        groups: list[int] = []
        as_postgres: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": groups}
        return {"cwd": self.folder, **(as_postgres if os.getuid() == 0 else {})}

    def _answers(self) -> bool:
        asked = [program("pg_isready") or "", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        return subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - our own words
