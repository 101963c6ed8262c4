"""`asof audit`."""

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

SHAPE: Document = {
    "changes": [
        {
            "at": "2026-01-01T12:00:00Z",
            "who": "key:nightly",
            "address": "10.0.0.3",
            "what": "push",
            "about": "weather@1:17",
            "outcome": "done",
            "note": "",
        }
    ]
}
COLUMNS = ("at", "who", "from", "what", "about", "outcome", "note")


@asof_command("audit", shape=SHAPE)
@store_argument
@click.option("--matching", default="", metavar="WORDS", help="Only with these words.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest so many.")
def command(store: str, matching: str, limit: int | None) -> Answer:
    """Say who changed what, when and from where, and who tried it without the right to: the oldest first."""
    from asof.clock import show_us

    with open_store(store) as opened:
        found = opened.catalog.audit(matching=matching, limit=limit)
    changes: list[dict[str, str]] = []
    for deed in found:
        who, at, address = deed.writer.rpartition("@")
        changes.append(
            {
                "at": show_us(deed.at_us),
                "who": who if at else deed.writer,
                "address": address if at else "",
                "what": deed.what,
                "about": deed.about,
                "outcome": deed.outcome,
                "note": deed.note,
            }
        )
    rows = [(each["at"][:19], *list(each.values())[1:]) for each in changes]
    return Answer(
        {"changes": changes}, lambda screen: screen.table(COLUMNS, rows) if rows else screen.line("nothing yet")
    )
