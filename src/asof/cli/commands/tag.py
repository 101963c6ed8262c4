"""`asof tag`."""

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.screen import counted

TAG_SHAPE: Document = {
    "tag": "2026-11",
    "created_at": "2026-11-30T23:00:00Z",
    "message": "the November model",
    "writer": "ana@host",
    "commits": {"weather@1": 17},
}


@asof_command("tag", shape={"tags": [TAG_SHAPE]})
@store_argument
@click.argument("name", required=False)
@click.option("--message", default="", metavar="TEXT", help="What for; kept with the tag.")
@click.option("--delete", is_flag=True, help="Forget the tag; no row is touched.")
def command(store: str, name: str | None, message: str, delete: bool) -> Answer:  # noqa: FBT001 - click's flag
    """Name the commits of the whole store.

    A read with `--commits NAME` sees the store again as it stands now. Without a NAME, the tags are listed. NAME may
    hold the time in strftime's form, so that a schedule needs no script: `asof tag STORE nightly-%Y-%m-%d`.
    """
    from asof.clock import show_us, system_clock

    if name is None and (delete or message):
        raise click.UsageError("which tag? -> pass its name")
    with open_store(store) as opened:
        catalog = opened.catalog
        if name is None:
            tags = catalog.tags()
        elif delete:
            catalog.untag(name)
            tags = []
        else:
            tags = [catalog.tag(system_clock().strftime(name) if "%" in name else name, message=message)]
    document = {
        "tags": [
            {
                "tag": tag.name,
                "created_at": show_us(tag.created_at_us),
                "message": tag.message,
                "writer": tag.writer,
                "commits": dict(tag.pins),
            }
            for tag in tags
        ]
    }
    if delete:
        return Answer(document, lambda screen: screen.line(f"{name} is forgotten; no row was touched", style="green"))
    rows = [
        (tag.name, tag.created_at.replace(microsecond=0), counted(len(tag.pins), "group"), tag.writer, tag.message)
        for tag in tags
    ]
    columns = ("tag", "created at", "names the commits of", "by", "message")
    return Answer(document, lambda screen: screen.table(columns, rows) if rows else screen.line("no tags yet"))
