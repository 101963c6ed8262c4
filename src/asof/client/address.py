"""Where a server is, and how long a client waits for it."""

import os
import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from asof.errors import UsageError

SCHEMES = ("asof", "asof+tls")
DEFAULT_PORT = 8765
KEY = "ASOF_KEY"
"""The variable with the API key."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and how it is spoken to.

    Attributes:
        host: Its name or number.
        port: Its HTTP port.
        tls: Whether connections are encrypted.
        key: The API key; "" for none. It is never shown.
        seconds: How long to wait for an answer; so many times as long for tables and long work.
    """

    host: str
    port: int
    tls: bool
    key: str = field(repr=False)
    seconds: float

    @property
    def url(self) -> str:
        """The URL, without a key."""
        return f"asof{'+tls' if self.tls else ''}://{self.place}:{self.port}"

    @property
    def place(self) -> str:
        """The host as a URL has it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def context(self) -> ssl.SSLContext | None:
        """Return how connections are encrypted; None: not."""
        return ssl.create_default_context() if self.tls else None


def is_remote(path: object) -> bool:
    """Return whether a path is the URL of a server."""
    return isinstance(path, str) and path.partition("://")[0] in SCHEMES and "://" in path


def address_of(url: str, *, key: str | None = None, timeout: float = 30.0) -> Address:
    """Return the address of a URL, such as "asof://features.example.com:8765".

    Raises:
        UsageError: It is no such URL, or holds more.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise UsageError(f"{_without_secrets(url)!r} is no address of a server: {error}") from error
    if not host or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(
            f"{_without_secrets(url)!r} is no address of a server",
            todo='write it as "asof://host:port", or "asof+tls://host:port"; pass the key as key=',
        )
    if not timeout > 0:
        raise UsageError(f"timeout={timeout!r} is no number of seconds", todo="pass more than 0")
    given = os.environ.get(KEY, "") if key is None else key
    if any(letter.isspace() or not letter.isprintable() for letter in given) or not given.isascii():
        raise UsageError("the key holds what no key holds", where=f"key= or {KEY}")
    return Address(host, port, parts.scheme == "asof+tls", given, float(timeout))


def _without_secrets(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)
