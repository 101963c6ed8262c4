"""`store.keys`: API keys of the server.

A key is a token, `asof_<id>_<secret>`. The secret has 256 random bits, so that nobody finds it by trying, and its
SHA-256 is all that is kept: a slow hash with salt protects secrets that people choose, and would cost each request
what a hundred online reads cost.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from asof.access.caller import ROLES
from asof.definitions.durations import duration_us
from asof.definitions.names import EVERY_PROJECT, checked_project, checked_tag
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts
from asof.records import ApiKey, Deed, Role

PREFIX = "asof_"
"""Scanners for leaked secrets know our tokens by it."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made.

    Attributes:
        key: What is kept of it.
        token: What its owner sends. It is told once, and can never be looked up.
    """

    key: ApiKey
    token: str

    def __repr__(self) -> str:
        """Return the key without its secret."""
        return f"NewKey({self.key.name!r})"


class Keys:
    """The API keys of a store."""

    def __init__(self, parts: Parts) -> None:
        """Keep the parts."""
        self._parts = parts

    def add(self, name: str, roles: Mapping[str, Role], *, expires: str | timedelta | None = None) -> NewKey:
        """Make a key.

        Args:
            name: Letters, digits, and ". _ -" between them, 63 at most; it is written into what the key changes.
            roles: Its role by project; "*" stands for all projects, "" for the default one.
            expires: For how long it is valid; None: until it is revoked.

        Raises:
            UsageError: A name or role that there is not. ConflictError: A valid key has this name.
        """
        checked = checked_roles(roles)
        now_us = self._parts.now_us()
        length_us = None if expires is None else duration_us(expires, what="expires")
        if length_us == 0:
            raise UsageError("a key that expires at once opens nothing", todo='pass expires="90d"')
        id_, secret = secrets.token_hex(6), secrets.token_hex(32)
        key = ApiKey(
            id_,
            checked_tag(name, "key"),
            digest_of(secret),
            checked,
            now_us,
            None if length_us is None else now_us + length_us,
            self._parts.writer,
        )
        self._parts.keys.add(key)
        return NewKey(key, f"{PREFIX}{id_}_{secret}")

    def all(self) -> list[ApiKey]:
        """Return all keys, revoked and expired ones too, the oldest first."""
        return self._parts.keys.all()

    def revoke(self, name: str) -> list[ApiKey]:
        """Revoke a key by its name or id, and return it; servers take it for some seconds more.

        Raises:
            NotFoundError: With names that come close.
        """
        return self._parts.keys.revoke(name, writer=self._parts.writer, now_us=self._parts.now_us())

    def used(self, used_at_us: Mapping[str, int]) -> None:
        """Remember when keys, by their ids, were used."""
        self._parts.keys.used(used_at_us)

    def denied(self, deeds: Sequence[Deed]) -> None:
        """Record what somebody tried to do who had no right to it; see `Catalog.audit`."""
        self._parts.deeds.denied(deeds)


def checked_roles(roles: Mapping[str, str]) -> dict[str, Role]:
    """Return roles by project if there are such.

    Raises:
        UsageError: There are none, or a name is none of a project. NotFoundError: An unknown role.
    """
    if not roles:
        raise UsageError("a key without a role opens nothing", todo='pass roles={"": "reader"}')
    found: dict[str, Role] = {}
    for project, role in roles.items():
        name = EVERY_PROJECT if project == EVERY_PROJECT else checked_project(project)
        for known in ROLES:
            if known == role:
                found[name] = known
        if name not in found:
            raise NotFoundError.named("role", role, ROLES)
    return found


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()  # whatever somebody sends


def parts_of(token: str) -> tuple[str, str] | None:
    """Return the id and the secret of a token; None if it has another form."""
    if not token.startswith(PREFIX):
        return None
    id_, underscore, secret = token[len(PREFIX) :].partition("_")
    return (id_, secret) if underscore and id_ and secret else None


def fits(key: ApiKey, secret: str) -> bool:
    """Return whether a secret is that of a key, in a time that tells nothing about it."""
    return hmac.compare_digest(digest_of(secret), key.digest)
