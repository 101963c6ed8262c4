"""Who may ask the server for what, and how it starts where other machines can reach it."""

import concurrent.futures
import http.client
import json
import signal
import ssl
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.server.conftest import Asof

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView

PATIENCE_SECONDS = 30
CLOSED_SECONDS = 20.0

pytestmark = pytest.mark.slow  # a process each

customer = Entity("customer", keys={"id": "string"})


def group(name, **options):
    features = [Feature("x", "float64")]
    return FeatureGroup(name, entity=customer, event_time="at", features=features, online=True, **options)


own = group("own", project="fraud")
lent = group("lent", project="fraud", shared_with=["risk"], description="scores for everybody")
free = group("free")
own_view = FeatureView("own_view", features=[own], project="fraud")
lent_view = FeatureView("lent_view", features=[lent], project="risk")

ROLES = {
    "fraud_reader": {"fraud": "reader"},
    "fraud_writer": {"fraud": "writer"},
    "risk_admin": {"risk": "admin"},
    "all_reader": {"*": "reader"},
    "free_reader": {"": "reader"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory, now):
    """Give the folder of a store with groups of two projects, and the tokens of its keys."""
    folder = tmp_path_factory.mktemp("keys") / "store"
    with asof.open(folder) as store:
        store.apply(own, lent, free, own_view, lent_view)
        for name in ("own", "lent", "free"):
            store.write(name, [{"id": "a", "at": now, "x": 1.0}])
        tokens = {name: store.keys.add(name, roles).token for name, roles in ROLES.items()}
        tokens["expired"] = store.keys.add("expired", {"*": "admin"}, expires="1ms").token
        tokens["revoked"] = store.keys.add("revoked", {"*": "admin"}).token
        store.keys.revoke("revoked")
    return folder, tokens


@pytest.fixture(scope="module")
def asked(made, server_of):
    """Give a server over the store that the tests of this module share."""
    return server_of(made[0])


def ask(server, token, method, path, body=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return server.request(method, path, None if body is None else json.dumps(body).encode(), headers)


def online(server, token, view):
    return ask(server, token, "POST", f"/v1/views/{view}/online", {"keys": {"id": "a"}})[0]


def push(server, token, name, at, **options):
    record = {"id": "b", "at": at.isoformat(), "x": 2.0}
    return ask(server, token, "POST", f"/v1/groups/{name}/push", {"records": record, **options})


@pytest.mark.parametrize(
    ("caller", "name", "status"),
    [
        ("fraud_reader", "own_view", 200),
        ("fraud_reader", "own", 200),
        ("fraud_reader", "lent", 200),
        ("fraud_reader", "lent_view", 403),  # of the project risk, though its group is of fraud
        ("fraud_reader", "free", 403),
        ("fraud_reader", "nothing", 404),
        ("fraud_writer", "own@1", 200),
        ("risk_admin", "own_view", 403),
        ("risk_admin", "own@1", 403),
        ("risk_admin", "lent", 200),
        ("risk_admin", "lent_view", 200),
        ("all_reader", "own_view", 200),
        ("all_reader", "free", 200),
        ("free_reader", "free", 200),
        ("free_reader", "lent", 403),
        (None, "free", 401),
        ("expired", "free", 401),
        ("revoked", "free", 401),
    ],
)
def test_reading_takes_a_role_in_the_project_or_one_that_it_is_shared_with(made, asked, caller, name, status):
    token = made[1].get(caller)
    assert online(asked, token, name) == status
    for path in (f"/v1/describe/{name}", f"/v1/lineage/{name}"):
        assert ask(asked, token, "GET", path)[0] == status
    receipt = {"view": name, "clock": "2026-01-01T00:00:00Z", "keys": {}, "request": None, "commits": {}}
    replayed = ask(asked, token, "POST", "/v1/replay", {**receipt, "semantics": 1, "applying": False})[0]
    assert replayed == status or (status == 200 and replayed not in (401, 403))


@pytest.mark.parametrize(
    ("caller", "name", "status"),
    [
        ("fraud_writer", "own", 200),
        ("fraud_writer", "lent", 200),
        ("fraud_writer", "free", 403),
        ("fraud_reader", "own", 403),
        ("risk_admin", "lent", 403),  # shared to be read
        ("all_reader", "free", 403),
        (None, "free", 401),
    ],
)
def test_writing_takes_the_role_in_the_group_s_own_project(made, asked, now, caller, name, status):
    assert push(asked, made[1].get(caller), name, now + timedelta(seconds=1))[0] == status


@pytest.mark.parametrize(
    ("caller", "features", "service", "status"),
    [
        ("fraud_reader", ["own:x", "lent:x"], None, 200),
        ("fraud_reader", ["own:x", "free:x"], None, 403),  # each of them counts
        ("fraud_reader", [], "own_view", 200),
        ("fraud_reader", ["own:x"], "lent_view", 403),
        ("risk_admin", ["own:x"], None, 403),
        ("fraud_reader", [], None, 200),
        (None, ["free:x"], None, 401),
    ],
)
def test_feasts_readers_need_the_same_roles(made, asked, caller, features, service, status):
    body = {"entities": {"id": ["a"]}, "features": features, "feature_service": service, "full_feature_names": True}
    assert ask(asked, made[1].get(caller), "POST", "/get-online-features", body)[0] == status


def test_feasts_writers_need_the_same_roles_and_are_recorded(made, asked, now):
    df = {"id": ["f"], "at": [now.isoformat()], "x": [1.0]}
    for path, name in (("/push", "push_source_name"), ("/write-to-online-store", "feature_view_name")):
        df["id"][0] += "f"
        answers = {
            caller: ask(asked, made[1].get(caller), "POST", path, {name: "own", "df": df})
            for caller in ("fraud_writer", "fraud_reader", "risk_admin", None)
        }
        assert [status for status, _, _ in answers.values()] == [200, 403, 403, 401]
        assert answers["fraud_writer"][1]["writer"] == "key:fraud_writer@127.0.0.1"
    with asof.open(made[0]) as store:
        until(lambda: len(store.catalog.audit(matching="denied feast_ fraud_reader own")) >= 2)


def test_a_refusal_says_which_role_is_missing_where(made, asked, now):
    status, problem, headers = push(asked, made[1]["fraud_reader"], "own", now)
    assert (status, problem["type"]) == (403, "DeniedError")
    assert problem["title"] == "key:fraud_reader has not the role 'writer' in project 'fraud'"
    assert problem["data"] == {"role": "writer", "project": "fraud", "caller": "key:fraud_reader"}
    assert "WWW-Authenticate" not in headers


def test_who_nobody_knows_is_told_how_to_say_who_he_is(made, asked):
    for token, says in (
        (None, "asks for a key"),
        ("nonsense", "no key"),
        ("asof_", "no key"),
        (made[1]["free_reader"][:-1] + "x", "unknown key"),
        (made[1]["free_reader"] + "0", "unknown key"),
        ("asof_000000000000_" + "0" * 64, "unknown key"),
        ("asof_\xff_\xff", "unknown key"),
        (made[1]["expired"], "'expired' expired at"),
        (made[1]["revoked"], "'revoked' was revoked"),
    ):
        status, problem, headers = ask(asked, token, "GET", "/v1/groups")
        assert (status, problem["type"], headers["WWW-Authenticate"]) == (401, "UnknownCallerError", "Bearer")
        assert says in problem["title"]
        assert "0" * 20 not in json.dumps(problem), "what was sent is not told back"
    status, problem, _ = asked.get("/v1/groups", Authorization="Basic dTpw")
    assert (status, "no scheme" in problem["title"]) == (401, True)


def test_what_may_not_be_read_is_not_there_in_lists(made, asked):
    def names(caller, path, part):
        return {each["name"] for each in ask(asked, made[1][caller], "GET", path)[1][part]}

    seen = {caller: names(caller, "/v1/groups", "groups") for caller in ROLES}
    assert seen == {
        "fraud_reader": {"own", "lent"},
        "fraud_writer": {"own", "lent"},
        "risk_admin": {"lent"},
        "all_reader": {"own", "lent", "free"},
        "free_reader": {"free"},
    }
    assert names("risk_admin", "/v1/views", "views") == {"lent_view"}
    assert names("fraud_reader", "/v1/views", "views") == {"own_view"}
    assert names("fraud_reader", "/v1/search?words=own", "hits") == {"own", "own.x", "own_view"}
    assert names("risk_admin", "/v1/search?words=own", "hits") == set()
    assert names("risk_admin", "/v1/search?words=scores", "hits") == {"lent"}
    readers = ("all_reader", "risk_admin", "fraud_reader")
    lineage = {caller: ask(asked, made[1][caller], "GET", "/v1/lineage/lent")[1]["read_by"] for caller in readers}
    assert lineage["all_reader"] == lineage["risk_admin"] == ["lent_view@1"]
    assert lineage["fraud_reader"] == []


def test_an_unknown_name_gives_away_no_other(made, asked):
    for path in ("describe/owm", "lineage/owm", "groups/owm/commits"):
        problem = ask(asked, made[1]["free_reader"], "GET", f"/v1/{path}")[1]
        assert (problem["status"], "'own'" in problem["detail"]) == (404, False)
    assert "'own'" in ask(asked, made[1]["all_reader"], "GET", "/v1/describe/owm")[1]["detail"]


def test_health_and_the_document_are_open_and_figures_are_not(made, asked):
    for path in ("/v1/health", "/v1/ready", "/openapi.json", "/docs"):
        assert ask(asked, None, "GET", path)[0] == 200
    assert ask(asked, None, "GET", "/metrics")[0] == 401
    assert ask(asked, made[1]["free_reader"], "GET", "/metrics")[0] == 200


def test_the_document_says_what_each_operation_needs(asked):
    document = asked.get("/openapi.json")[1]
    every = {each["operationId"]: each for path in document["paths"].values() for each in path.values()}
    assert every["push"]["x-asof-role"] == "writer"
    assert every["online"]["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for name, each in every.items():
        is_open = name in ("health", "ready", "server")
        assert ("security" in each, {"401", "403", "429"} <= set(each["responses"])) == (not is_open, not is_open)


def test_commits_say_whose_key_wrote_them_and_from_where(made, asked, now):
    callers = ["fraud_writer"] * 20
    with asof.open(made[0]) as store:
        second = store.keys.add("second", {"fraud": "writer"}).token
    until(lambda: online(asked, second, "own") == 200)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:  # pushes at the same time share a transaction
        tokens = [made[1][name] for name in callers] + [second] * 20
        asking = [
            pool.submit(push, asked, token, "own", now, meta={"by": token[-8:]}, on_conflict="last") for token in tokens
        ]
        answers = [each.result() for each in asking]
    for token, (status, commit, _) in zip(tokens, answers, strict=True):
        name = "second" if token == second else "fraud_writer"
        assert (status, commit["writer"]) == (200, f"key:{name}@127.0.0.1")
        assert commit["meta"] == {"by": token[-8:]}
    found = ask(asked, made[1]["fraud_reader"], "GET", "/v1/groups/own/commits?matching=key:second")[1]["commits"]
    assert len(found) == 20


def test_changes_and_tries_to_change_are_in_the_audit_log(made, asked, now):
    push(asked, made[1]["fraud_writer"], "lent", now)
    push(asked, made[1]["risk_admin"], "lent", now)
    push(asked, None, "own", now)
    ask(asked, made[1]["fraud_writer"], "POST", "/v1/groups/" + "n" * 500 + "%00/push", {"records": {}})
    with asof.open(made[0]) as store:
        until(lambda: len(store.catalog.audit(matching="denied lent risk_admin")) >= 1)
        (denied, *_) = store.catalog.audit(matching="denied lent risk_admin")
        assert (denied.writer, denied.what, denied.about) == ("key:risk_admin@127.0.0.1", "push", "lent")
        assert "'writer' in project 'fraud'" in denied.note
        until(lambda: store.catalog.audit(matching="denied unknown@127.0.0.1 push own"))
        assert store.catalog.audit(matching="key:fraud_writer@127.0.0.1 push lent@1:")
        assert store.catalog.audit(matching="keys add free_reader")
        assert all(token not in repr(store.catalog.audit()) for token in made[1].values())


def test_a_key_that_was_used_says_so_to_the_day(made, asked, now):
    assert online(asked, made[1]["all_reader"], "free") == 200

    def used():
        with asof.open(made[0]) as store:
            return {key.name: key.used_at_us for key in store.keys.all()}

    until(lambda: used()["all_reader"] is not None)
    assert used()["all_reader"] % 86_400_000_000 == 0
    assert used()["expired"] is None


def until(happened):
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_server_without_keys_is_open_and_says_so_until_there_is_one(serve, folder):
    server = serve()
    assert any("nobody is asked who he is" in line for line in server.lines)
    asking = {"keys": {"customer_id": 1}}
    assert server.post("/v1/views/risk/online", asking)[0] == 200
    with asof.open(folder) as store:
        token = store.keys.add("first", {"": "reader"}).token
        made = time.monotonic()
        until(lambda: server.post("/v1/views/risk/online", asking)[0] == 401)
        assert time.monotonic() - made < CLOSED_SECONDS
        server.token = token
        assert server.post("/v1/views/risk/online", asking)[0] == 200
        store.keys.revoke("first")
        made = time.monotonic()
        until(lambda: server.post("/v1/views/risk/online", asking)[0] == 401)
        assert time.monotonic() - made < CLOSED_SECONDS
        server.token = None
        assert server.post("/v1/views/risk/online", asking)[0] == 401, "without a valid key it is not open again"


def test_keys_may_be_required_before_there_is_one(serve):
    server = serve("--keys", "required")
    assert not any("nobody is asked" in line for line in server.lines)
    assert server.get("/v1/groups")[0] == 401


def test_a_key_that_asks_too_often_has_to_wait(made, server_of):
    server = server_of(made[0], "--rate", "1")
    tokens = made[1]
    answers = [ask(server, tokens["all_reader"], "GET", "/v1/groups") for _ in range(20)]
    assert {status for status, _, _ in answers} == {200, 429}
    _, problem, headers = next(each for each in answers if each[0] == 429)
    assert (problem["type"], int(headers["Retry-After"]) >= 1) == ("TooOftenError", True)
    assert ask(server, tokens["fraud_reader"], "GET", "/v1/groups")[0] == 200, "others do not wait for it"
    until(lambda: ask(server, tokens["all_reader"], "GET", "/v1/groups")[0] == 200)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Give the files of a certificate for features.example and localhost, and of its key."""
    return certified(tmp_path_factory.mktemp("tls"))


def certified(folder):
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=features.example", "-addext", "subjectAltName=DNS:features.example,DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return str(cert), str(key)


def test_beyond_this_machine_it_starts_only_with_keys_and_tls(made, folder, certificate):
    cert, key = certificate
    tls = ("--tls-cert", cert, "--tls-key", key)
    with_keys = str(made[0])
    for store, options, says in (
        (str(folder), ("--host", "0.0.0.0", *tls, "--name", "features.example"), "no key is valid"),
        (str(folder), ("--host", "0.0.0.0", "--keys", "required", "--behind-proxy"), "no key is valid"),
        (with_keys, ("--host", "0.0.0.0", "--name", "features.example"), "in clear"),
        (with_keys, ("--host", "::", "--name", "features.example"), "in clear"),
        (with_keys, ("--host", "0.0.0.0", *tls), "--name features.example"),
        (with_keys, ("--host", "192.0.2.1"), "in clear"),
        (with_keys, ("--tls-cert", cert), "both --tls-cert and --tls-key"),
        (with_keys, ("--tls-cert", key, "--tls-key", key), "cannot be read"),
        (with_keys, ("--tls-cert", "/nowhere", "--tls-key", key), "cannot be read"),
        (with_keys, ("--trusted-proxy", "somewhere"), "no address"),
        (with_keys, ("--name", "https://features.example"), "no name of a host"),
        (with_keys, ("--name", "features.example:8765"), "no name of a host"),
    ):  # fmt: skip
        code, said = Asof("serve", store, "--port", "0", *options).ended()
        assert (code, says in said) == (2, True), (options, said)
        assert "Traceback" not in said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_with_tls_it_answers_other_machines_under_its_name(made, certificate, server_of, workers):
    cert, key = certificate
    options = ("--host", "0.0.0.0", "--name", "features.example", "--tls-cert", cert, "--tls-key", key)
    context = ssl.create_default_context(cafile=cert)
    server = server_of(made[0], *options, "--workers", workers, context=context)
    assert any("https://0.0.0.0" in line for line in server.lines)
    token = made[1]["all_reader"]
    assert online(server, token, "free") == 200
    assert online(server, None, "free") == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert server.get("/v1/groups", Host="features.example", **headers)[0] == 200
    assert server.get("/v1/groups", Host="evil.example", **headers)[0] == 421
    plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    with pytest.raises((OSError, http.client.HTTPException)):
        plain.request("GET", "/v1/health")
        plain.getresponse()
    plain.close()


def test_new_workers_read_the_certificate_anew(made, server_of, tmp_path):
    cert, key = certified(tmp_path)
    options = ("--tls-cert", cert, "--tls-key", key, "--workers", "2")
    server = server_of(made[0], *options, context=ssl.create_default_context(cafile=cert))
    assert server.get("/v1/health")[0] == 200
    old, first = server.context, server.workers()
    Path(cert).write_text("no certificate")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: any("the old ones are kept" in line for line in server.lines))
    assert server.workers() == first
    assert server.get("/v1/health")[0] == 200
    certified(tmp_path)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: not server.workers() & first)
    server.context = ssl.create_default_context(cafile=cert)
    assert server.get("/v1/health")[0] == 200
    server.context = old
    with pytest.raises(ssl.SSLError):
        server.get("/v1/health")


def test_a_proxy_is_believed_only_if_it_is_trusted(made, server_of, now):
    def address(server, forwarded):
        headers = {"Authorization": f"Bearer {made[1]['fraud_writer']}", "X-Forwarded-For": forwarded}
        record = {"records": {"id": "c", "at": now.isoformat(), "x": 1.0}}
        body = json.dumps({**record, "on_conflict": "last"}).encode()
        commit = server.request("POST", "/v1/groups/own/push", body, headers)[1]
        assert commit["writer"].count("@") == 1
        return commit["writer"].rpartition("@")[2]

    behind = ("--host", "0.0.0.0", "--name", "features.example", "--behind-proxy")
    server = server_of(made[0], *behind)
    assert address(server, "198.51.100.7") == "127.0.0.1"
    server = server_of(made[0], *behind, "--trusted-proxy", "127.0.0.1")
    assert address(server, "198.51.100.7") == "198.51.100.7"
    assert address(server, "203.0.113.1, 198.51.100.7") == "198.51.100.7", "what the client itself said is not believed"
    assert address(server, "key:ana@198.51.100.7") == "key:ana?198.51.100.7"


def test_workers_all_ask_for_keys(made, server_of):
    server = server_of(made[0], "--workers", "2")
    for _ in range(20):
        assert online(server, None, "free") == 401
        assert online(server, made[1]["free_reader"], "free") == 200
