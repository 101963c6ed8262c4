"""Bring up the team of docs/deploy.md on loopback, ask it what that page promises, and take it down: `make team`.

PostgreSQL, object storage (moto), Redis, two servers behind HAProxy with TLS and keys. With --stay it runs until
ctrl-c.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError

import obstore
import pyarrow as pa
from obstore.store import S3Store

import asof
from asof.clock import system_clock
from asof.errors import AsofError
from asof.store import Store
from asof.testing.servers import PostgresServer, RedisServer, S3Server, free_port, program

ASOF = [sys.executable, "-c", "import asof.cli; asof.cli.main()"]
NODES = {"one": "127.0.0.2", "two": "127.0.0.3"}
"""Servers have the ports that the proxy has, as on machines of their own."""
PATIENCE_SECONDS = 60
USERS = 200

PROXY = """
defaults
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend http
    bind 127.0.0.1:{http} ssl crt {folder}/both.pem alpn http/1.1
    mode http
    option forwardfor
    default_backend asof_http
backend asof_http
    mode http
    option httpchk GET /v1/ready
    http-check send hdr Host localhost
    option redispatch
    retry-on conn-failure empty-response
    server one 127.0.0.2:{http} check inter 200
    server two 127.0.0.3:{http} check inter 200
frontend flight
    bind 127.0.0.1:{flight} ssl crt {folder}/both.pem alpn h2
    mode tcp
    default_backend asof_flight
backend asof_flight
    mode tcp
    balance source
    server one 127.0.0.2:{flight} check inter 200
    server two 127.0.0.3:{flight} check inter 200
"""


class Team:
    """The team's servers, in a folder of their own.

    Attributes:
        url: What people open.
        keys: A token for each role.
    """

    def __init__(self, folder: Path) -> None:
        """Start nothing yet."""
        self.folder = folder
        self.postgres, self.s3, self.redis = (
            kind(folder / name)
            for kind, name in ((PostgresServer, "postgres"), (S3Server, "s3"), (RedisServer, "redis"))
        )
        self.ports = {name: free_port() for name in ("http", "flight")}
        self.url = f"asof+tls://localhost:{self.ports['http']}"
        self.keys: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen] = {}

    @contextmanager
    def running(self):
        """Bring everything up, and take it down."""
        with ExitStack() as down:
            for server in (self.postgres, self.s3, self.redis):
                down.callback(server.stop)
                server.start()
            down.callback(self.stop)
            self._certificate()
            os.environ |= self.s3.environment() | {"ASOF_CACHE": str(self.folder / "cache")}
            for node in NODES:
                self.settings(node, self.postgres.registry_url("team_registry"), "store")
            for role in ("reader", "writer", "admin"):
                made = self.asof("keys", "add", self.folder / "one", role, "--role", role, "--project", "*")
                self.keys[role] = made["token"]
            for node in NODES:
                self.serve(node)
            self._proxy()
            yield

    def settings(self, node: str, registry: str, prefix: str) -> None:
        """Write a node's asof.toml."""
        (self.folder / node).mkdir(exist_ok=True)
        (self.folder / node / "asof.toml").write_text(
            f'format = 1\nregistry = "{registry}"\nhistory = "s3://{self.s3.BUCKET}/{prefix}"\n'
            f'online = "{self.redis.url}?prefix={prefix}"\n'
        )

    def serve(self, node: str) -> None:
        """Start a node's server, and wait until it answers."""
        command = [
            *ASOF, "serve", self.folder / node, "--host", NODES[node], "--port", self.ports["http"],
            "--flight-port", self.ports["flight"], "--workers", 2,
            "--name", "localhost", "--behind-proxy", "--trusted-proxy", "127.0.0.1",
        ]  # fmt: skip
        log = (self.folder / f"{node}.log").open("a")
        self.processes[node] = subprocess.Popen(list(map(str, command)), stderr=log, stdout=log)
        until(lambda: self.get(f"http://{NODES[node]}:{self.ports['http']}/v1/ready") == 200, f"server {node} answers")

    def kill(self, node: str) -> None:
        """Kill a server and its workers at once."""
        process = self.processes.pop(node)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in (process.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Stop the servers and the proxy."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(PATIENCE_SECONDS)

    def open(self, role: str) -> Store:
        """Open the store as people do."""
        return asof.open(self.url, key=self.keys[role])

    def get(self, url: str, key: str = "") -> int:
        """Return the status of an answer; 0 for none."""
        headers = {"Host": "localhost"} | ({"Authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status
        except HTTPError as error:
            return error.code
        except OSError:
            return 0

    def asof(self, *words):
        """Run a command of ours; return its document."""
        done = subprocess.run([*ASOF, *map(str, words), "--json"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"asof {' '.join(map(str, words))}: {done.stderr}")
        return json.loads(done.stdout)

    def _certificate(self) -> None:
        files = {name: str(self.folder / f"{name}.pem") for name in ("key", "cert", "both")}
        words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        command = ["openssl", *words.split(), "-keyout", files["key"], "-out", files["cert"]]
        subprocess.run(command, check=True, capture_output=True)
        Path(files["both"]).write_text(Path(files["cert"]).read_text() + Path(files["key"]).read_text())
        os.environ |= {"SSL_CERT_FILE": files["cert"], "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": files["cert"]}

    def _proxy(self) -> None:
        settings = self.folder / "haproxy.cfg"
        settings.write_text(PROXY.format(folder=self.folder, **self.ports))
        log = (self.folder / "haproxy.log").open("a")
        self.processes["proxy"] = subprocess.Popen([program("haproxy"), "-f", settings], stderr=log, stdout=log)
        until(lambda: self.get(f"https://localhost:{self.ports['http']}/v1/ready") == 200, "the proxy answers")


def until(true, what: str) -> float:
    """Wait until something is true; return how long that took."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise SystemExit(f"not so after {PATIENCE_SECONDS} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - begun


def say(text: str) -> None:
    """Tell what was shown."""
    print(f"  {text}", flush=True)


def check(team: Team) -> None:
    """Ask the team what docs/deploy.md promises."""
    now = system_clock().replace(microsecond=0)
    user = asof.Entity("user", keys={"user": "int64"})
    visits = asof.FeatureGroup(
        "visits", entity=user, event_time="at", features=[asof.Feature("seconds", "float64")], online=True
    )
    view = asof.FeatureView("engagement", features=[visits])
    with team.open("admin") as store:
        store.apply(visits, view)
    spine = pa.table({"user": list(range(USERS)), "t": [now] * USERS})
    with team.open("writer") as store:
        rows = [{"user": each, "at": now - timedelta(hours=1), "seconds": float(each)} for each in range(USERS)]
        store.write("visits", rows)
        frame = store.historical("engagement", spine, time="t", known="event").to_arrow()
        vectors = store.online("engagement", [{"user": each} for each in range(USERS)])
        told([v.values["seconds"] for v in vectors] == frame.column("seconds").to_pylist(), "online equals history")
        with asof.open(team.folder / "two") as there:
            same = there.historical("engagement", spine, time="t", known="event").to_arrow()
        told(same.equals(frame), "the store of another machine gives the same training frame")
        survives_a_killed_server(team, store, now)
        survives_redis(team, store, now)
        survives_registry_and_bucket(team, store, now)
        before = store.historical("engagement", spine, time="t", known="event").to_arrow()
    refuses(team)
    comes_back(team, spine, before)


def survives_a_killed_server(team: Team, store, now) -> None:
    """Write and read while a server is killed and started again."""
    stored = 0
    for step in range(60):
        if step == 20:
            team.kill("one")
        if step == 40:
            team.serve("one")
        store.push("visits", {"user": 1000 + step, "at": now, "seconds": 1.0})
        stored += 1
        seen = store.online("engagement", {"user": 1000 + step}).values["seconds"]
        told(seen == 1.0, "", quiet=True)
    found = [store.online("engagement", {"user": 1000 + step}).statuses["seconds"] for step in range(stored)]
    told(found == ["PRESENT"] * stored, f"a server was killed and started again under {stored} pushes: all are there")


def survives_redis(team: Team, store, now) -> None:
    """Stop Redis: reads fail clearly, and are answered again when it is back."""
    team.redis.stop()
    try:
        store.online("engagement", {"user": 1})
        raise SystemExit("NOT SO: reads fail without Redis")
    except AsofError as error:
        say(f"without Redis: {type(error).__name__}: {str(error)[:90]}")
    team.redis.start()
    store.push("visits", {"user": 2000, "at": now, "seconds": 2.0})
    seen = store.online("engagement", {"user": 2000}).values["seconds"]
    told(seen == 2.0, "Redis was stopped and started again: reads go on, and see new rows")


def survives_registry_and_bucket(team: Team, store, now) -> None:
    """Stop PostgreSQL, then the bucket: online reads go on."""
    team.postgres.stop()
    seen = store.online("engagement", {"user": 2000}).values["seconds"]
    told(seen == 2.0, "without the registry: online reads go on")
    try:
        store.push("visits", {"user": 2001, "at": now, "seconds": 3.0})
        raise SystemExit("NOT SO: writes fail without the registry")
    except AsofError as error:
        say(f"without the registry a push is refused: {type(error).__name__}: {str(error)[:90]}")
    team.postgres.start()
    store.push("visits", {"user": 2001, "at": now, "seconds": 3.0})
    told(store.online("engagement", {"user": 2001}).values["seconds"] == 3.0, "the registry is back: writes go on")
    team.s3.pause()
    store.push("visits", {"user": 2002, "at": now, "seconds": 4.0})
    seen = store.online("engagement", {"user": 2002}).values["seconds"]
    team.s3.resume()
    told(seen == 4.0, "without the bucket: online reads and small pushes go on")


def refuses(team: Team) -> None:
    """Ask without a key, with too small a role, and with a key that was revoked."""
    url = f"https://localhost:{team.ports['http']}/v1/groups"
    told(team.get(url) == 401, "without a key: 401")
    with team.open("reader") as reader:
        try:
            reader.push("visits", {"user": 1, "at": system_clock(), "seconds": 0.0})
            raise SystemExit("NOT SO: a reader may not push")
        except AsofError as error:
            say(f"a reader pushes: {type(error).__name__}: {str(error)[:90]}")
    told(team.get(url, team.keys["reader"]) == 200, "with a key: 200")
    team.asof("keys", "revoke", team.folder / "two", "reader")
    took = until(lambda: team.get(url, team.keys["reader"]) == 401, "the revoked key is refused")
    told(took < 5, f"a revoked key is refused by all workers seen after {took:.1f} s")
    who = {each["who"] for each in team.asof("audit", team.folder / "one")["changes"]}
    told(any(name == "key:writer" for name in who), f"the audit log says who wrote: {sorted(who)}")


def comes_back(team: Team, spine: pa.Table, before: pa.Table) -> None:
    """Back registry and bucket up, lose everything, and bring it back."""
    dump = team.folder / "features.sql"
    url = team.postgres.registry_url("team_registry")
    copied = team.postgres.registry_url("team_restored")
    dump.write_bytes(
        subprocess.run([program("pg_dump"), "--no-owner", *schema_of(url)], check=True, capture_output=True).stdout
    )
    bucket = S3Store(team.s3.BUCKET, client_options={"allow_http": True})
    for chunk in obstore.list(bucket, "store/"):
        for each in chunk:
            obstore.copy(bucket, each["path"], each["path"].replace("store/", "back/", 1))
    text = dump.read_text().replace("team_registry", "team_restored")
    subprocess.run(
        [program("psql"), "-q", "-v", "ON_ERROR_STOP=1", plain(copied)],
        input=text,
        text=True,
        check=True,
        capture_output=True,
    )
    shutil.rmtree(team.folder / "cache")
    team.settings("three", copied, "back")
    found = team.asof("doctor", team.folder / "three", "--repair")
    told(found["healthy"], f"restored: doctor looked at {found['files']} files and {found['keys']} keys, all is well")
    with asof.open(team.folder / "three") as store:
        same = store.historical("engagement", spine, time="t", known="event").to_arrow()
        told(same.equals(before), "the restored store gives the same training frame")
        told(store.online("engagement", {"user": 2000}).values["seconds"] == 2.0, "and serves the same values")


def schema_of(url: str) -> list[str]:
    """Return the words by which pg_dump finds a registry."""
    address, _, option = url.partition("?schema=")
    return [f"--schema={option}", address] if option else [address]


def plain(url: str) -> str:
    """Return the address of a registry's database."""
    return url.partition("?schema=")[0]


def told(true: object, what: str, *, quiet: bool = False) -> None:
    """Say what was shown, or that it is not so."""
    if not true:
        raise SystemExit(f"NOT SO: {what}")
    if not quiet:
        say(what)


def main() -> None:
    """Bring it up, ask, take it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stay", action="store_true", help="stay until ctrl-c")
    stay = parser.parse_args().stay
    if os.environ.get("ASOF_REGISTRY") or os.environ.get("ASOF_ONLINE"):
        raise SystemExit("unset ASOF_REGISTRY and ASOF_ONLINE first")
    missing = [name for name in ("haproxy", "postgres", "redis-server", "openssl", "pg_dump") if program(name) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix="asof-team-"))
    folder.chmod(0o755)  # PostgreSQL runs under another user
    try:
        team = Team(folder)
        print("bringing up PostgreSQL, object storage, Redis, two servers and a proxy", flush=True)
        with team.running():
            say(f"{team.url} answers")
            if stay:
                for name in ("SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
                    print(f"export {name}={os.environ[name]}")
                print(f"export ASOF_KEY={team.keys['admin']}", flush=True)
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
            else:
                check(team)
        print("all that docs/deploy.md promises was seen")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
