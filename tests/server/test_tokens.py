"""Tokens of another issuer: what is signed by its keys for us opens, and nothing else does."""

import base64
import hmac
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

import asof
from asof.clock import system_us
from asof.errors import TransientError, UnknownCallerError, UsageError
from asof.server import tokens as module
from asof.server.tokens import Issuer, Tokens, checked_issuer, key_set, read_keys

ISSUER, AUDIENCE = "https://login.example", "features"
NOW = 1_800_000_000
PATIENCE_SECONDS = 30


def rsa(kid):
    return RSAKey.generate_key(2048, {"kid": kid})


KEY, OTHER = rsa("one"), rsa("one")
CURVE = ECKey.generate_key("P-256", {"kid": "curve"})


def public(*keys):
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


def claims(**changes):
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": NOW + 60, "asof": {"fraud": "reader"}, **changes}
    return {name: value for name, value in given.items() if value is not None}


def signed(key=KEY, algorithm="RS256", kid="one", **changes):
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    return jwt.encode(header, claims(**changes), key, algorithms=[algorithm])


class Jwks:
    """A small server of a key set on loopback.

    Attributes:
        body: What it answers.
        asked: How often it was asked.
    """

    def __init__(self):
        self.body, self.status, self.asked = public(KEY, CURVE), 200, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def shared():
    """Give a server whose keys do not change."""
    server = Jwks()
    yield server
    server.stop()


@pytest.fixture
def jwks():
    """Give a server whose keys change."""
    server = Jwks()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def checks(shared):
    """Give what checks tokens at a fixed time."""
    made = Tokens(Issuer(ISSUER, AUDIENCE, shared.url), now_us=lambda: NOW * 1_000_000)
    yield made
    made.close()


def forged(header, payload, signature=b""):
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_a_token_of_the_issuer_says_who_and_what_he_may(checks):
    for token in (
        signed(),
        signed(algorithm="PS256"),
        signed(CURVE, "ES256", "curve"),
        signed(aud=["others", AUDIENCE]),
        signed(nbf=NOW, iat=NOW),
        signed(exp=NOW - 29),  # the issuer's clock may differ
    ):
        for _ in range(2):  # the second time it is remembered
            caller = checks.caller(token, "10.0.0.3")
            assert (caller.writer, dict(caller.roles)) == ("jwt:ana@10.0.0.3", {"fraud": "reader"})
    assert checks.caller(signed(), "10.0.0.4").address == "10.0.0.4"


def signed_with_the_public_key():
    unsigned = forged({"alg": "HS256", "kid": "one"}, claims()).rpartition(".")[0]
    signature = hmac.digest(KEY.as_pem(private=False), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (forged({"alg": "none"}, claims()), "not"),
        (forged({"alg": "none", "kid": "one"}, claims()), "not"),
        (forged({"alg": "None", "kid": "one"}, claims(), b"x"), "not"),
        (signed_with_the_public_key(), "not allowed"),
        (signed(OTHER), "bad_signature"),
        (signed(CURVE, "ES256", "one"), ""),
        (signed(kid="two"), "two"),
        (signed(kid=None), "None"),
        (signed(aud="others"), "aud"),
        (signed(aud=None), "aud"),
        (signed(aud=[]), "aud"),
        (signed(iss="https://evil.example"), "iss"),
        (signed(iss=None), "iss"),
        (signed(sub=None), "sub"),
        (signed(sub=5), "sub"),
        (signed(exp=None), "exp"),
        (signed(exp=NOW - 31), "expired"),
        (signed(exp="tomorrow"), "exp"),
        (signed(exp=float("nan")), "exp"),
        (signed(nbf=NOW + 31), "not yet valid"),
        (signed(iat=NOW + 31), "future"),
        (signed(asof=["reader"]), "no roles by project"),
        (signed(asof={"fraud": "owner"}), "no roles by project"),
        (signed(asof={"Fraud!": "reader"}), "no roles by project"),
        (signed()[:-4] + "AAAA", "bad_signature"),
        (signed().replace(".", "", 1), ""),
        (forged({"alg": "RS256", "kid": "one", "crit": ["x"], "x": 1}, claims(), b"x"), ""),
        (forged({"alg": "RS256", "kid": {}}, claims(), b"x"), ""),
        (forged([], claims(), b"x"), ""),
    ],
)
def test_a_forged_token_opens_nothing(checks, token, says):
    for _ in range(2):
        with pytest.raises(UnknownCallerError) as refused:
            checks.caller(token, "::1")
        assert says in str(refused.value)


@given(st.text(max_size=200) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
def test_any_text_is_refused_as_a_token_is(checks, text):
    with pytest.raises(UnknownCallerError):
        checks.caller(text, "::1")


def test_a_token_without_roles_is_known_and_may_nothing(checks):
    for roles in (None, {}):
        assert checks.caller(signed(asof=roles), "::1").roles == {}


def test_a_remembered_token_expires(shared):
    now = [NOW]
    checks = Tokens(Issuer(ISSUER, AUDIENCE, shared.url, "roles"), now_us=lambda: now[0] * 1_000_000)
    token = signed(roles={"*": "admin"})
    assert checks.caller(token, "").roles == {"*": "admin"}
    now[0] += 60 + module.LEEWAY_SECONDS
    with pytest.raises(UnknownCallerError, match="expired"):
        checks.caller(token, "")
    checks.close()


def until(happened):
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_keys_are_read_again_soon_for_an_unknown_one_and_not_for_each_token(jwks, monkeypatch):
    monkeypatch.setattr(module, "SOON_SECONDS", 0.3)
    checks = Tokens(Issuer(ISSUER, AUDIENCE, jwks.url), now_us=lambda: NOW * 1_000_000)
    old, new = signed(), signed(rsa_two := rsa("two"), kid="two")
    checks.caller(old, "")
    jwks.body = public(rsa_two)

    def opens(token):
        try:
            return bool(checks.caller(token, ""))
        except UnknownCallerError:
            return False

    begun = time.monotonic()
    until(lambda: opens(new))
    assert jwks.asked <= 2 + (time.monotonic() - begun) / 0.3
    assert not opens(old), "the keys changed, so what was remembered counts no more"
    checks.close()


def test_keys_that_do_not_come_are_a_failure_that_may_pass(jwks, monkeypatch):
    monkeypatch.setattr(module, "SOON_SECONDS", 0.1)
    jwks.status = 500
    checks = Tokens(Issuer(ISSUER, AUDIENCE, jwks.url), now_us=lambda: NOW * 1_000_000)
    with pytest.raises(TransientError, match="cannot be read"):
        checks.caller(signed(), "")
    jwks.status = 200

    def opens():
        try:
            return bool(checks.caller(signed(), ""))
        except TransientError:
            return False

    until(opens)
    jwks.body = b"nonsense"
    checks.caller(signed(), "")  # the keys of before count
    checks.close()


def test_keys_come_not_in_clear_from_elsewhere_and_not_without_bound(jwks, tmp_path):
    for url in (
        "http://login.example/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "http://127.0.0.1.evil.example/",
    ):
        with pytest.raises(UsageError, match="clear"):
            read_keys(url)
    jwks.status = 302
    with pytest.raises(TransientError, match="302"):
        read_keys(jwks.url)
    jwks.status, jwks.body = 200, b" " * (module.MOST_BYTES + 1)
    with pytest.raises(UsageError, match="more than"):
        read_keys(jwks.url)
    file = tmp_path / "keys.json"
    file.write_bytes(public(KEY))
    assert read_keys(str(file)) == public(KEY)
    with pytest.raises(TransientError):
        read_keys(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{}]}', b'{"keys": [1]}', b'{"keys": [{"kty": "RSA"}]}', b"\xff",
        b"[" * 100_000, json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_set_of_public_keys_is_refused(text):
    with pytest.raises(UsageError, match="no key set"):
        key_set(text)


def test_secrets_and_keys_that_encrypt_are_left_out():
    secret = OctKey.generate_key(256, {"kid": "s"}).as_dict(private=True)
    encrypts = {**rsa("e").as_dict(private=False), "use": "enc"}
    keys = key_set(json.dumps({"keys": [secret, encrypts, KEY.as_dict(private=False)]}).encode())
    assert [key.kid for key in keys] == ["one"]


def test_a_part_of_the_issuer_that_is_missing_is_said(shared):
    checked_issuer(Issuer(ISSUER, AUDIENCE, shared.url))
    for issuer in (Issuer("", AUDIENCE, shared.url), Issuer(ISSUER, "", shared.url), Issuer(ISSUER, AUDIENCE, "")):
        with pytest.raises(UsageError, match="--jwt-issuer"):
            checked_issuer(issuer)


@pytest.mark.slow
def test_the_server_takes_tokens_and_keys_alike(folder, serve, jwks):
    options = ("--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-keys", jwks.url)
    server = serve(*options)
    soon = system_us() // 1_000_000 + 600
    assert server.get("/v1/groups")[0] == 401, "it asks though the store has no key"
    writer = signed(asof={"": "writer"}, exp=soon, sub="ana@example")
    record = {"customer_id": 1, "at": "2026-01-01T00:00:00Z", "orders": 1, "returned": 0.0}
    status, commit, _ = server.post("/v1/groups/spending/push", {"records": record}, Authorization=f"Bearer {writer}")
    assert (status, commit["writer"]) == (200, "jwt:ana@example@127.0.0.1")
    reader = signed(asof={"": "reader"}, exp=soon)
    bearer = {"Authorization": f"Bearer {reader}"}
    assert server.post("/v1/groups/spending/push", {"records": record}, **bearer)[0] == 403
    assert server.post("/v1/views/risk/online", {"keys": {"customer_id": 1}}, **bearer)[0] == 200
    assert server.get("/v1/groups", Authorization=f"Bearer {signed(OTHER, exp=soon)}")[0] == 401
    with asof.open(folder) as store:
        token = store.keys.add("k", {"": "reader"}).token
    until(lambda: server.get("/v1/groups", Authorization=f"Bearer {token}")[0] == 200)


@pytest.mark.slow
def test_an_issuer_whose_keys_are_none_is_said_at_once(folder, tmp_path):
    (tmp_path / "keys.json").write_text("{}")
    options = ["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-keys", str(tmp_path / "keys.json")]
    command = [sys.executable, "-c", "import asof.cli; asof.cli.main()", "serve", str(folder), "--port", "0", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, "no key set" in ended.stderr) == (2, True), ended.stderr
