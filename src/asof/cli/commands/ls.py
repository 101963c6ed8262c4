"""`asof ls`."""

from typing import TYPE_CHECKING, Any

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.registry.registered import RegisteredGroup, RegisteredView
    from asof.store import Store

SHAPE: Document = {
    "groups": [
        {
            "name": "weather",
            "version": 1,
            "keys": {"origin": "string"},
            "event_time": "time_hour",
            "features": 2,
            "online": True,
            "commits": 1,
            "rows": 72,
            "last_commit_at": "2026-01-01T12:00:00Z",
            "description": "",
            "project": "",
            "external": None,
        }
    ],
    "views": [
        {
            "name": "departure",
            "version": 1,
            "keys": {"origin": "string"},
            "features": 3,
            "groups": ["weather@1"],
            "description": "",
            "project": "",
        }
    ],
}


@asof_command("ls", shape=SHAPE)
@store_argument
def command(store: str) -> Answer:
    """List the groups and views of a store."""
    with open_store(store) as opened:
        groups = [_group(opened, group) for group in opened.catalog.groups()]
        views = [_view(view) for view in opened.catalog.views()]
    return Answer({"groups": groups, "views": views}, lambda screen: _show(screen, groups, views))


def _group(store: "Store", group: "RegisteredGroup") -> dict[str, Any]:
    commits = store.catalog.commits(group.ref)
    return {
        "name": group.definition.name,
        "version": group.version,
        "keys": {key: str(dtype) for key, dtype in group.definition.entity.keys.items()},
        "event_time": group.definition.event_time,
        "features": len(group.definition.features),
        "online": group.definition.online,
        "commits": len(commits),
        "rows": sum(commit.rows - commit.unchanged for commit in commits),  # a confirmation stores none
        "last_commit_at": commits[-1].committed_at if commits else None,
        "description": group.definition.description,
        "project": group.definition.project,
        "external": group.definition.external,
    }


def _view(view: "RegisteredView") -> dict[str, Any]:
    return {
        "name": view.definition.name,
        "version": view.version,
        "keys": {key: str(dtype) for key, dtype in view.definition.spine_keys.items()},
        "features": len(view.definition.features),
        "groups": sorted(group.ref for group in view.groups.values()),
        "description": view.definition.description,
        "project": view.definition.project,
    }


def _show(screen: "Screen", groups: list[dict[str, Any]], views: list[dict[str, Any]]) -> None:
    if not groups and not views:
        screen.line("an empty store -> `asof apply STORE FILE` registers definitions, `asof import csv` loads a folder")
        return
    screen.table(
        ("group", "keys", "event time", "features", "online", "rows", "last commit"),
        [
            (
                f"{g['name']}@{g['version']}",
                ", ".join(g["keys"]),
                g["event_time"] or "static",
                g["features"],
                g["online"],
                g["external"] or g["rows"],
                None if g["last_commit_at"] is None else g["last_commit_at"].replace(microsecond=0),
            )
            for g in groups
        ],
    )
    if views:
        screen.line()
        screen.table(
            ("view", "keys", "features", "reads"),
            [
                (f"{v['name']}@{v['version']}", ", ".join(v["keys"]), v["features"], ", ".join(v["groups"]))
                for v in views
            ],
        )
