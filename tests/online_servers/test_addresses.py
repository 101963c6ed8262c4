"""How a store finds its server: URLs, names, secrets, packages that are not installed."""

import subprocess
import sys

import psycopg
import pytest
import redis
from tests.addresses import NOWHERE, SECRET, check_no_message_holds_the_password

from asof.errors import PermanentError, TransientError, UsageError
from asof.online.port import Change
from asof.parts import open_online
from asof.testing.online_model import applied, change_of, get, row_of
from asof.testing.servers import RedisServer


def test_stores_that_share_a_server_do_not_share_rows(request, tmp_path):
    for fixture, option in (("redis_server", "prefix"), ("postgres_server", "schema")):
        url = request.getfixturevalue(fixture).url
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        one = open_online(url, root=str(tmp_path / "features"))
        same_name = open_online(url, root=str(tmp_path / "elsewhere" / "features"))
        named = open_online(f"{url}?{option}=prod {tmp_path.name}", root=str(tmp_path / "features"))
        again = open_online(f"{url}?{option}=prod {tmp_path.name}", root="")
        one.apply([change_of(1, {b"k": (1, b"one")})])
        named.apply([change_of(1, {b"k": (1, b"named")})])
        assert get(same_name, b"k") is None
        assert (get(one, b"k"), get(again, b"k")) == (row_of(1, 1, b"one"), row_of(1, 1, b"named"))
        for store in (one, same_name, named, again):
            store.close()


def test_a_socket_in_the_file_system_will_do(redis_server, tmp_path):
    store = open_online(f"unix://{redis_server.socket}?db=3", root=str(tmp_path))
    store.apply([change_of(1, {b"k": (1, b"one")})])
    assert get(store, b"k") == row_of(1, 1, b"one")
    store.close()


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
@pytest.mark.parametrize("rest", NOWHERE)
def test_no_message_holds_the_password(scheme, rest, tmp_path):
    check_no_message_holds_the_password(lambda url: applied(open_online(url, root=str(tmp_path))), scheme, rest)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0?prefix={x}",
        "postgresql://127.0.0.1/x?schema=%22",
        "redis://x:y",
        "redis://127.0.0.1:1/features",
        "redis://127.0.0.1:1/0?no_such_option=1",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_at_once(url, tmp_path):
    with pytest.raises(UsageError):
        open_online(url, root=str(tmp_path))


def test_a_wrong_password_is_no_passing_failure(own_redis, tmp_path):
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("requirepass", SECRET)
    with pytest.raises(PermanentError, match="ASOF_ONLINE"):
        applied(open_online(own_redis.url.replace("//", "//:wrong@"), root=str(tmp_path)))
    store = open_online(own_redis.url.replace("//", f"//:{SECRET}@"), root=str(tmp_path))
    assert applied(store).commit == 0
    store.close()


def test_an_unknown_database_or_role_is_no_passing_failure(postgres_server, tmp_path):
    for url in (
        postgres_server.url.replace("/postgres", "/nowhere"),
        postgres_server.url.replace("asof@", "nobody@"),
    ):
        with pytest.raises(PermanentError, match="does not exist"):
            applied(open_online(url, root=str(tmp_path)))


def test_a_server_that_may_drop_rows_is_refused(request, tmp_path):
    request.getfixturevalue("redis_server")  # skips without the program
    server = RedisServer(tmp_path / "r", {"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru", "appendonly": "no"})
    server.start()
    try:
        store = open_online(server.url, root=str(tmp_path))
        with pytest.raises(PermanentError, match="allkeys-lru"):
            applied(store)
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", "noeviction")
        store.apply([change_of(1, {b"k": (1, b"one")})])
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "1mb")
        with pytest.raises(PermanentError, match="no memory"):
            store.apply([change_of(2, {b"k": (2, b"x" * 2**20)})])
        assert get(store, b"k") == row_of(1, 1, b"one")
        store.close()
    finally:
        server.kill()


def test_erasing_waits_for_those_who_may_still_read(postgres_server, tmp_path):
    store = open_online(f"{postgres_server.url}?schema=erased", root=str(tmp_path))
    store.apply([change_of(1, {b"k": (1, b"one"), b"l": (1, b"two")})])
    with psycopg.connect(postgres_server.url, autocommit=True) as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1 FROM pg_class LIMIT 1")
        with pytest.raises(TransientError, match="may still read"):
            store.erase(1, [b"k"])
        assert get(store, b"k") is None
        reader.execute("ROLLBACK")
    assert store.erase(1, [b"k"]) == 0
    assert store.apply([Change(1, 1, 2, 20)])[1].commit == 2
    store.close()


@pytest.mark.parametrize(
    ("package", "scheme", "extra"), [("redis", "redis", "redis"), ("psycopg", "postgresql", "postgres")]
)
def test_without_its_package_an_adapter_says_how_to_install_it(package, scheme, extra):
    code = f"""
import sys
sys.modules[{package!r}] = None
from asof.errors import MissingDependencyError
from asof.parts import open_online
try:
    open_online("{scheme}://127.0.0.1/0")
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f'pip install "asof[{extra}]"' in done.stdout
