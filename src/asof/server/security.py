"""Who may ask the server, and how requests travel: closed by default as soon as other machines can reach it."""

import ipaddress
import re
import ssl
from typing import TYPE_CHECKING, Literal

import msgspec

from asof.access import Keys
from asof.clock import system_us
from asof.errors import UsageError
from asof.server.access import Access
from asof.server.limits import LOOPBACK

if TYPE_CHECKING:
    from asof.server.tokens import Issuer

NAME = re.compile(r"[\w.-]+|\[[0-9a-fA-F:]+\]", re.ASCII)

AsksForKeys = Literal["auto", "required"]


class Security(msgspec.Struct, frozen=True):
    """Who may ask, and how requests travel.

    Attributes:
        keys: "auto" asks for a key as soon as the store has one; "required" always.
        rate: Requests a second of each key; 0 for any number.
        names: Host names that the server goes by, besides those of this machine.
        tls_cert: File with the certificate, and those that lead to one that clients know.
        tls_key: File with its private key.
        behind_proxy: Whether a proxy, which alone can reach the server, ends TLS.
        trusted_proxies: Addresses of proxies that say by X-Forwarded-For for whom they ask.
        jwt_issuer: Whose tokens are taken besides keys; see `asof.server.tokens.Issuer`.
        jwt_audience: What they must say in `aud`.
        jwt_keys: File or URL of the issuer's public keys.
        jwt_roles_claim: The claim with the roles by project.
    """

    keys: AsksForKeys = "auto"
    rate: float = 0.0
    names: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    trusted_proxies: tuple[str, ...] = ()
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_keys: str = ""
    jwt_roles_claim: str = "asof"

    @property
    def has_issuer(self) -> bool:
        """Whether tokens of another issuer are taken."""
        return bool(self.jwt_issuer or self.jwt_audience or self.jwt_keys)


def checked_start(host: str, security: Security, keys: Keys) -> tuple[str, ...]:
    """Return the names that the server goes by, if it may start.

    Raises:
        UsageError: Other machines could ask without a key, or keys would travel in clear.
    """
    address = _address(host)
    _check_tls(security)
    for proxy in security.trusted_proxies:
        _address(proxy)
    if security.has_issuer:
        from asof.server.tokens import checked_issuer  # noqa: PLC0415 - of an extra

        checked_issuer(_issuer(security))
    for name in security.names:
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name of a host", todo="leave out scheme and port: --name features.example"
            )
    names = (*LOOPBACK, *(name.lower() for name in security.names))
    if address.is_loopback:
        return names
    reached = f"host {host} can be reached by other machines"
    if not security.has_issuer and not any(key.valid(system_us()) for key in keys.all()):
        raise UsageError(
            f"{reached}, and no key is valid", todo="make one first: asof keys add STORE NAME --role reader"
        )
    if not security.tls_cert and not security.behind_proxy:
        todo = "pass --tls-cert and --tls-key, or --behind-proxy if a proxy ends TLS"
        raise UsageError(f"{reached}, and keys would travel in clear", todo=todo)
    if not address.is_unspecified:
        return (*names, f"[{address}]" if address.version == 6 else str(address))  # noqa: PLR2004 - of IP
    if not security.names:
        raise UsageError(
            f"{reached}, and has no name", todo="say under which name it is asked: --name features.example"
        )
    return names


def asks(security: Security, keys: Keys) -> bool:
    """Return whether the server asks for keys."""
    return security.keys == "required" or security.has_issuer or bool(keys.all())


def open_access(security: Security, keys: Keys) -> Access:
    """Return what knows who asks; to be closed."""
    tokens = None
    if security.has_issuer:
        from asof.server.tokens import Tokens  # noqa: PLC0415 - of an extra

        tokens = Tokens(_issuer(security))
    return Access(keys, required=security.keys == "required", rate=security.rate, tokens=tokens)


def _issuer(security: Security) -> "Issuer":
    from asof.server.tokens import Issuer  # noqa: PLC0415 - of an extra

    return Issuer(security.jwt_issuer, security.jwt_audience, security.jwt_keys, security.jwt_roles_claim)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise UsageError(f"{host!r} is no address", todo="use one such as 127.0.0.1") from error


def _check_tls(security: Security) -> None:
    if bool(security.tls_cert) != bool(security.tls_key):
        raise UsageError("TLS needs a certificate and its key", todo="pass both --tls-cert and --tls-key")
    if security.tls_cert:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(security.tls_cert, security.tls_key, password="")
        except (OSError, ssl.SSLError, ValueError) as error:
            todo = "pass PEM files, the key without a pass phrase"
            where = security.tls_cert
            raise UsageError(f"the certificate or its key cannot be read: {error}", where=where, todo=todo) from error
