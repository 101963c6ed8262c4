"""`asof backup`."""

import click

from asof.cli.command import Answer, store_argument
from asof.cli.command import command as asof_command

SHAPE = {
    "backup": "release-7",
    "groups": 3,
    "commits": 72,
    "files": 24,
    "bytes": 1843200,
    "models": 1,
    "backups": [{"name": "release-7", "at": "2026-11-23T04:45:00Z"}],
}


@asof_command("backup", shape=SHAPE)
@store_argument
@click.argument("folder")
@click.option(
    "--tag", default="", help='The name of the backup, and of a tag in the store; default: "backup-" and the time.'
)
@click.option("--keep", type=click.IntRange(min=1), help="Delete all but so many backups, the newest.")
def command(store: str, folder: str, tag: str, keep: int | None) -> Answer:
    """Keep a store as it is now in FOLDER, beside earlier backups.

    Only data files that are new since the last one are copied, and each is compared byte for byte. The store may be
    used meanwhile. `asof restore FOLDER TARGET` brings it back.
    """
    from asof.moving import backup, backups

    carried = backup(store, folder, tag=tag, keep=keep or 0, progress=True)
    every = backups(folder)
    document = {
        "backup": every[0].name,
        "groups": carried.groups,
        "commits": carried.commits,
        "files": carried.files,
        "bytes": carried.bytes,
        "models": carried.models,
        "backups": [{"name": each.name, "at": each.at} for each in every],
    }
    text = f"backup {every[0].name}: {carried}"
    return Answer(document, lambda screen: screen.line(text))
