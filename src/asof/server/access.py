"""Who asks, and how often: the same for every transport.

    caller = access.identify(token, address)        # or an error that says why not
    caller.need("reader", group_or_view)
    with acting_as(caller.writer): ...              # what he changes says who he was

Keys are read from the registry in the background, so a request reads none: a new key opens, and a revoked one closes,
some seconds later.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from asof.access import Caller
from asof.access.caller import EVERYBODY
from asof.access.keys import PREFIX, Keys, fits, parts_of
from asof.clock import show_us, system_us
from asof.errors import AsofError, DeniedError, NotFoundError, TransientError, UnknownCallerError
from asof.records import ApiKey, Deed
from asof.server.rates import Rates

REFRESH_SECONDS = 2.0
"""How often keys are read again: a revoked key is refused within 5 s, also by a slow registry."""

TRUSTED_SECONDS = 60.0
"""How long the keys that were read last count, while the registry does not answer."""

CLOSE_SECONDS = 10.0
"""How long the end of the process waits for a look at the registry that is under way."""

DAY_US = 86_400_000_000

MOST_DENIED = 50
"""Denied tries that are recorded one by one between two looks at the registry; of the others only their number is."""

LONGEST = 200
"""Characters of what a caller says that are recorded."""

LONGEST_WHAT = 32
"""Characters of an operation that the registry has room for."""

log = logging.getLogger("asof.server")


class Verifier(Protocol):
    """Knows the tokens that another issuer made."""

    def caller(self, token: str, address: str) -> Caller:
        """Return the caller of a token.

        Raises:
            UnknownCallerError: It is not valid. TransientError: Nobody knows.
        """
        ...

    def close(self) -> None:
        """Stop."""
        ...


class Access:
    """Who asks this process. Safe to use from several threads.

    Args:
        keys: The keys of the store.
        required: Whether a key is asked for even while there is none.
        rate: Requests a second of each caller; 0 for any number.
        tokens: Knows those of another issuer, if there is one; closed with it.
        now_us: The clock.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        required: bool = False,
        rate: float = 0.0,
        tokens: Verifier | None = None,
        now_us: Callable[[], int] = system_us,
    ) -> None:
        """Read the keys, and go on doing so until it is closed."""
        self._keys = keys
        self._tokens = tokens
        self._now_us = now_us
        self._rates = Rates(rate) if rate else None
        self._known: dict[str, ApiKey] = {}
        self._read_at = 0.0
        self._used: dict[str, int] = {}
        self._denied: list[Deed] = []
        self._more_denied = 0
        self._lock = threading.Lock()
        self.asks = required or tokens is not None
        self._read()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asof-access", daemon=True)
        self._thread.start()

    def identify(self, token: str | None, address: str) -> Caller:
        """Return who asks.

        Args:
            token: What he sent as his key, None if nothing.
            address: From where he asks.

        Raises:
            UnknownCallerError: The token is missing, or not valid. TooOftenError: He asks more often than he may.
            TransientError: Keys cannot be read.
        """
        caller = self._caller(token, address) if self.asks else EVERYBODY
        if self._rates is not None:
            self._rates.take(caller.id)
        return caller

    def deny(self, error: DeniedError, caller: Caller | None, address: str, *, what: str, about: str) -> None:
        """Record that somebody tried to change something, and had no right to it.

        Args:
            error: Why.
            caller: Who; None if nobody knows.
            address: From where.
            what: The operation.
            about: To what.
        """
        writer = f"unknown@{address}" if caller is None else caller.writer
        deed = Deed(self._now_us(), writer, what[:LONGEST_WHAT], printable(about), "denied", error.what)
        with self._lock:
            if len(self._denied) < MOST_DENIED:
                self._denied.append(deed)
            else:
                self._more_denied += 1

    def close(self) -> None:
        """Write down what is not yet, and stop."""
        self._stopped.set()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.warning("the registry does not answer: the last denied tries, and uses of keys, are not recorded")
        else:
            self._write()
        if self._tokens is not None:
            self._tokens.close()

    def _caller(self, token: str | None, address: str) -> Caller:
        if not token:
            todo = (
                f"send it in the header: Authorization: Bearer {PREFIX}..., in Python by key= or ASOF_KEY; "
                "`asof keys add` makes one"
            )
            raise UnknownCallerError("this server asks for a key", todo=todo)
        parts = parts_of(token)
        if parts is None:
            if self._tokens is None:
                raise UnknownCallerError("this is no key", todo=f"send one that begins with {PREFIX}")
            return self._tokens.caller(token, address)
        if time.monotonic() - self._read_at > TRUSTED_SECONDS:
            raise TransientError("the registry does not answer, so nobody knows which keys are valid", todo="try again")
        id_, secret = parts
        key = self._known.get(id_)
        if key is None or not fits(key, secret):
            raise UnknownCallerError("unknown key", todo="a new one is known after some seconds")
        now_us = self._now_us()
        if not key.valid(now_us):
            how = "was revoked" if key.revoked_at_us is not None else f"expired at {show_us(key.expires_at_us or 0)}"
            raise UnknownCallerError(f"key {key.name!r} {how}", todo="ask for another one: `asof keys add`")
        day_us = now_us - now_us % DAY_US
        if self._used.get(id_) != day_us:
            self._used[id_] = day_us
        return Caller(f"key:{key.name}", key.roles, address, id_)

    def _run(self) -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            try:
                self._read()
                self._write()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look must come
                log.warning("the keys cannot be read: %s", error)

    def _read(self) -> None:
        begun = time.monotonic()
        keys = self._keys.all()
        self._known = {key.id: key for key in keys}
        self.asks = self.asks or bool(keys)  # and never less again
        self._read_at = begun

    def _write(self) -> None:
        """Write down which keys were used, and what was denied."""
        with self._lock:
            denied, self._denied = self._denied, []
            more, self._more_denied = self._more_denied, 0
        if more:
            denied.append(Deed(self._now_us(), "", "several", "", "denied", f"{more:,} more tries"))
        known, used = self._known, dict(self._used)
        news = {id_: day for id_, day in used.items() if id_ in known and (known[id_].used_at_us or 0) < day}
        try:
            if news:
                self._keys.used(news)
            if denied:
                self._keys.denied(denied)
        except AsofError as error:
            log.warning("what was denied cannot be recorded: %s", error)


def token_of(authorization: str | None) -> str | None:
    """Return the token of an Authorization header; None if there is none.

    Raises:
        UnknownCallerError: It has another scheme.
    """
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise UnknownCallerError(
            f"{printable(scheme)!r} is no scheme of this server", todo="send: Authorization: Bearer KEY"
        )
    return token.strip()


def told(error: Exception, caller: Caller) -> Exception:
    """Return an error without the names of what its caller may not read; those of served models are such as he may."""
    kind = str(error.data.get("kind", "")) if isinstance(error, NotFoundError) else ""
    hides = "group" in kind or "view" in kind or kind == "model"
    if isinstance(error, NotFoundError) and not caller.reads_all and hides:
        return NotFoundError(error.what, where=error.where, data=error.data)
    return error


def printable(text: str) -> str:
    """Return what somebody says, fit to be recorded."""
    return "".join(each if each.isprintable() else "?" for each in text[:LONGEST])
