"""Who may see the pages."""

from typing import Protocol

from starlette.requests import Request

from asof.access import Caller
from asof.access.caller import EVERYBODY

COOKIE = "asof_key"
"""Holds the key of who signed in. Only pages read it, which change nothing: no other site gains by sending it."""


class Gate(Protocol):
    """Says who looks."""

    def caller(self, request: Request, token: str | None) -> Caller:
        """Return who sent a request with a key, None for none.

        Raises:
            UnknownCallerError: Nobody knows. TooOftenError: He asks too often. TransientError: Keys cannot be read.
        """
        ...


class Open:
    """Asks nobody: an embedded store on this machine, seen by who could open its folder."""

    def caller(self, request: Request, token: str | None) -> Caller:  # noqa: ARG002 - see `Gate`
        """Return everybody."""
        return EVERYBODY
