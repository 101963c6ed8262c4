"""Places outside of the store at which the rows of a group may lie.

"parquet:FOLDER" (or a file, or a glob), "delta:FOLDER", "postgresql://USER@HOST:PORT/DATABASE?table=NAME&schema=NAME".
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

from asof.errors import NotFoundError, UsageError

TABLES = ("postgresql", "postgres")
FILES = ("parquet", "delta")

FORMS = 'write "parquet:/data/weather", "delta:/data/weather" or "postgresql://user@host/database?table=weather"'
SECRETS = frozenset({"password", "sslpassword", "passfile"})


@dataclass(frozen=True, slots=True)
class Place:
    """A place, taken apart.

    Attributes:
        kind: "parquet", "delta" or "postgresql".
        path: Of files: the folder, file or glob.
        url: Of a table: how to connect, without what follows.
        table: Of a table: its name.
        schema: Of a table: the schema that it is in; "" for the one that the server looks in first.
    """

    kind: str
    path: str = ""
    url: str = ""
    table: str = ""
    schema: str = ""


def place_of(external: str) -> Place:
    """Return a place taken apart.

    Raises:
        UsageError: It is none, or holds a password. NotFoundError: No such kind.
    """
    kind, colon, rest = external.partition(":")
    if not colon or not rest or "\0" in external:
        raise UsageError(f"external={external!r} is no place", todo=FORMS)
    if kind in FILES:
        return Place(kind, path=rest)
    if kind in TABLES:
        return server_place(external, what="external=")
    raise NotFoundError.named("kind of external place", kind, (*FILES, "postgresql"), where="external=")


def checked_place(external: object, *, where: str) -> str:
    """Return a place as it was given.

    Raises:
        As `place_of`.
    """
    if not isinstance(external, str):
        raise UsageError(f"external={external!r} is no text", where=where, todo=FORMS)
    place_of(external)
    return external


def server_place(url: str, *, what: str, table: str = "") -> Place:
    """Return the place of a table of a server: "postgresql://USER@HOST:PORT/DATABASE?table=NAME&schema=NAME".

    Args:
        url: The URL.
        what: What said it, for messages.
        table: The table, if the URL does not name it.

    Raises:
        UsageError: It is none, or holds a password. NotFoundError: It has another option.
    """
    try:
        parts = urlsplit(url)
        secret, _ = parts.password is not None, parts.port
    except ValueError:  # its message may show the whole of it
        raise UsageError(f"{what} is no URL", todo=FORMS) from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if secret or SECRETS & options.keys():
        raise UsageError(
            f"{what} holds a password, and it is shown to everybody",
            todo="leave it out: set PGPASSWORD, or use ~/.pgpass",
        )
    table = table or options.pop("table", "")
    if not table:
        raise UsageError(f"{what} names no table", where=_shown(parts), todo=FORMS)
    if unknown := sorted(options.keys() - {"schema"}):
        raise NotFoundError.named("option", unknown[0], ("table", "schema"), where=_shown(parts))
    plain = parts._replace(scheme="postgresql", query="", fragment="").geturl()
    return Place("postgresql", url=plain, table=table, schema=options.get("schema", ""))


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
