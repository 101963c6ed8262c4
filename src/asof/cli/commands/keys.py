"""`asof keys`: add, ls, revoke."""

from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.records import ApiKey

KEY_SHAPE: Document = {
    "id": "4a0425e9f664",
    "name": "nightly",
    "roles": {"fraud": "writer"},
    "created_at": "2026-01-01T12:00:00Z",
    "created_by": "ana@host",
    "expires_at": "2026-04-01T12:00:00Z",
    "revoked_at": None,
    "used_on": "2026-01-02",
    "valid": True,
}
NEW_SHAPE: Document = {**KEY_SHAPE, "used_on": None, "token": "asof_4a0425e9f664_..."}


@click.group("keys", short_help="Make, list and revoke the keys of the server.")
def command() -> None:
    """Make, list and revoke the keys by which a server knows who asks."""


@asof_command("add", shape=NEW_SHAPE)
@store_argument
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="[PROJECT=]ROLE",
    help="reader, writer or admin; may be repeated, each for a project of its own.",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="PROJECT",
    help="Where a role without a project counts: '*' is all projects. May be repeated; else the default project.",
)
@click.option("--expires", metavar="LENGTH", help="For how long it is valid, such as 90d; else until it is revoked.")
def add(store: str, name: str, roles: tuple[str, ...], projects: tuple[str, ...], expires: str | None) -> Answer:
    """Make a key, and print its token: once, for it is kept nowhere.

    A reader asks for values and looks around, a writer pushes and writes too, an admin changes definitions too.
    """
    with open_store(store) as opened:
        made = opened.keys.add(name, _roles(roles, projects), expires=expires)  # type: ignore[arg-type] # it checks them

    def show(screen: "Screen") -> None:
        screen.line(made.token)
        if screen.terminal:
            screen.line("keep it now: it cannot be shown again", style="dim")

    return Answer({**_document(made.key), "token": made.token}, show)


@asof_command("ls", shape={"keys": [KEY_SHAPE]})
@store_argument
def ls(store: str) -> Answer:
    """List the keys of a store, the oldest first."""
    with open_store(store) as opened:
        keys = opened.keys.all()
    return _listed(keys)


@asof_command("revoke", shape={"keys": [{**KEY_SHAPE, "revoked_at": "2026-02-01T12:00:00Z", "valid": False}]})
@store_argument
@click.argument("name")
def revoke(store: str, name: str) -> Answer:
    """Revoke a key, by its name or its id: servers refuse it within 5 seconds."""
    with open_store(store) as opened:
        keys = opened.keys.revoke(name)
    return _listed(keys)


command.add_command(add)
command.add_command(ls)
command.add_command(revoke)


def _roles(roles: tuple[str, ...], projects: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in roles:
        project, equals, role = text.rpartition("=")
        for each in (project,) if equals else projects or ("",):
            if each in found:
                raise click.UsageError(f"project {each!r} has two roles -> give the greater one")
            found[each] = role
    return found


def _document(key: "ApiKey") -> dict[str, Any]:
    from asof.clock import show_us, system_us

    def shown(moment_us: int | None) -> str | None:
        return None if moment_us is None else show_us(moment_us)

    return {
        "id": key.id,
        "name": key.name,
        "roles": dict(key.roles),
        "created_at": shown(key.created_at_us),
        "created_by": key.writer,
        "expires_at": shown(key.expires_at_us),
        "revoked_at": shown(key.revoked_at_us),
        "used_on": None if key.used_at_us is None else show_us(key.used_at_us)[:10],
        "valid": key.valid(system_us()),
    }


def _listed(keys: "list[ApiKey]") -> Answer:
    found = [_document(key) for key in keys]
    rows = [
        (
            each["name"],
            each["id"],
            ", ".join(f"{role} of {project or 'the default project'}" for project, role in each["roles"].items()),
            each["created_at"][:19],
            "revoked" if each["revoked_at"] else "never" if each["expires_at"] is None else each["expires_at"][:19],
            each["used_on"],
        )
        for each in found
    ]
    columns = ("key", "id", "roles", "created", "expires", "last used")
    empty = "no keys yet -> asof keys add STORE NAME --role reader"
    return Answer({"keys": found}, lambda screen: screen.table(columns, rows) if rows else screen.line(empty))
