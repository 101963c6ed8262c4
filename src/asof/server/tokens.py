"""Tokens of another issuer: JWT, as OpenID Connect gives them, checked with the issuer's public keys (JWKS).

Only asymmetric algorithms are known, so that nobody can sign with a public key. The issuer's keys are read in the
background; a token that was found good once is remembered until it expires or the keys change.
"""

import hashlib
import ipaddress
import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from asof.access import Caller, checked_roles
from asof.clock import system_us
from asof.errors import AsofError, MissingDependencyError, TransientError, UnknownCallerError, UsageError
from asof.records import Role
from asof.server.access import printable

try:
    from joserfc import jwk, jwt
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry
except ModuleNotFoundError as error:
    raise MissingDependencyError("joserfc", extra="jwt") from error

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

KEY_TYPES = ("RSA", "EC")
"""Public keys; "oct" would be a secret that the issuer shares."""

REFRESH_SECONDS = 300.0
"""How often the issuer's keys are read again."""

SOON_SECONDS = 10.0
"""How soon they are read again for a token whose key nobody knows, and how often at most."""

TRUSTED_SECONDS = 86_400.0
"""How long keys count while they cannot be read again."""

TIMEOUT_SECONDS = 5.0
MOST_BYTES = 1024**2
LEEWAY_SECONDS = 30
"""By how much the issuer's clock may differ from ours."""

REMEMBERED = 10_000
"""Tokens that were found good."""

log = logging.getLogger("asof.server")


class Issuer(msgspec.Struct, frozen=True):
    """Whose tokens are taken.

    Attributes:
        issuer: What its tokens say in `iss`.
        audience: What they must say in `aud`.
        keys: File or URL of its public keys (JWKS).
        roles_claim: The claim with the roles by project, such as {"fraud": "reader"}.
    """

    issuer: str
    audience: str
    keys: str
    roles_claim: str = "asof"


class Tokens:
    """Checks the tokens of an issuer. Safe to use from several threads.

    Args:
        issuer: Whose tokens are taken.
        now_us: The clock.
    """

    def __init__(self, issuer: Issuer, *, now_us: Callable[[], int] = system_us) -> None:
        """Read the keys, and go on doing so until it is closed; it may begin without."""
        self._issuer = issuer
        self._registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)  # issuers add parameters
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: now_us() // 1_000_000,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._now_us = now_us
        self._keys: jwk.KeySet | None = None
        self._read: bytes = b""
        self._read_at = 0.0
        self._good: dict[bytes, tuple[Caller, float]] = {}
        self._wanted = threading.Event()
        self._stop = threading.Event()
        self._refresh()
        self._thread = threading.Thread(target=self._run, name="asof-jwks", daemon=True)
        self._thread.start()

    def caller(self, token: str, address: str) -> Caller:
        """Return the caller of a token.

        Raises:
            UnknownCallerError: It is not valid. TransientError: The issuer's keys cannot be read.
        """
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        known = self._good.get(digest)
        if known is not None and known[1] * 1_000_000 > self._now_us():
            return msgspec.structs.replace(known[0], address=address)
        keys = self._keys
        if keys is None or time.monotonic() - self._read_at > TRUSTED_SECONDS:
            raise TransientError(
                "the issuer's keys cannot be read, so nobody knows if a token is valid", todo="try again"
            )
        claims = self._checked(token, keys)
        name = f"jwt:{printable(str(claims['sub']))}"
        caller = Caller(name, _roles(claims.get(self._issuer.roles_claim), self._issuer.roles_claim), address, name)
        if len(self._good) >= REMEMBERED:
            self._good = {}
        if keys is self._keys:
            self._good[digest] = caller, float(claims["exp"])
        return caller

    def close(self) -> None:
        """Stop reading keys."""
        self._stop.set()
        self._wanted.set()
        self._thread.join(TIMEOUT_SECONDS * 2)

    def _checked(self, token: str, keys: jwk.KeySet) -> Mapping[str, Any]:
        try:
            found = jwt.decode(token, keys, algorithms=ALGORITHMS, registry=self._registry)
            self._claims.validate(found.claims)
        except (
            JoseError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            if isinstance(error, JoseError) and error.error == "invalid_key_id":
                self._wanted.set()  # the issuer may have a new one
            why = printable(str(error)) if isinstance(error, JoseError) else "it has not the form of one"
            raise UnknownCallerError(f"the token is not valid: {why}", todo="get a new one from the issuer") from error
        return found.claims

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(SOON_SECONDS)  # whatever tokens say, the issuer is not asked more often
            self._wanted.wait(REFRESH_SECONDS - SOON_SECONDS)
            if not self._stop.is_set():
                self._wanted.clear()
                self._refresh()

    def _refresh(self) -> None:
        try:
            text = read_keys(self._issuer.keys)
            if text != self._read:
                self._keys = key_set(text)
                self._read, self._good = text, {}
            self._read_at = time.monotonic()
        except AsofError as error:
            log.warning("the issuer's keys cannot be read: %s", error)
            self._wanted.set()


def checked_issuer(issuer: Issuer) -> None:
    """Refuse an issuer whose keys cannot be read.

    Raises:
        UsageError: A part is missing, its keys would come in clear, or are none. TransientError: They do not come.
    """
    if not (issuer.issuer and issuer.audience and issuer.keys):
        todo = "pass --jwt-issuer, --jwt-audience and --jwt-keys"
        raise UsageError("tokens need an issuer, an audience and the issuer's keys", todo=todo)
    key_set(read_keys(issuer.keys))


def read_keys(place: str) -> bytes:
    """Return the text of a key set, from a file or by a URL.

    Raises:
        UsageError: The URL would be asked in clear. TransientError: It cannot be read.
    """
    opener = _opener(place) if "://" in place else None
    try:
        if opener is None:
            with Path(place).open("rb") as file:
                text = file.read(MOST_BYTES + 1)
        else:
            with opener.open(place, timeout=TIMEOUT_SECONDS) as answer:
                text = cast("bytes", answer.read(MOST_BYTES + 1))
    except (OSError, HTTPException, ValueError) as error:
        raise TransientError(f"the issuer's keys cannot be read: {error}", where=place, todo="try again") from error
    if len(text) > MOST_BYTES:
        raise UsageError(f"the issuer's keys have more than {MOST_BYTES:,} bytes", where=place)
    return text


def key_set(text: bytes) -> jwk.KeySet:
    """Return the public keys of a key set.

    Raises:
        UsageError: It is none, or has no key that signs.
    """
    try:
        found = [key for key in json.loads(text)["keys"] if key["kty"] in KEY_TYPES and key.get("use", "sig") == "sig"]
        return jwk.KeySet.import_key_set({"keys": found})
    except (JoseError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        todo = 'a key set is JSON: {"keys": [{"kty": "RSA", "kid": ..., ...}]}'
        raise UsageError(f"the issuer's keys are no key set: {error}", todo=todo) from error


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what reads a URL; it follows nobody to another place, which might be in clear."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise UsageError(f"keys from {url!r} would come in clear", todo="use https://")
    opener = urllib.request.OpenerDirector()
    handlers = [urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), urllib.request.HTTPErrorProcessor()]
    handlers += [urllib.request.HTTPDefaultErrorHandler(), *([] if here else [urllib.request.ProxyHandler()])]
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _roles(claim: object, name: str) -> Mapping[str, Role]:
    if claim is None or claim == {}:
        return {}
    try:
        return checked_roles(msgspec.convert(claim, dict[str, str]))
    except (AsofError, ValueError) as error:
        todo = 'the issuer must say {"project": "reader"}'
        raise UnknownCallerError(f"the token's claim {name!r} says no roles by project", todo=todo) from error
