"""`asof search`."""

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

SHAPE: Document = {
    "hits": [{"kind": "feature", "name": "weather.temp", "where": "description", "text": "air temperature", "score": 6}]
}


@asof_command("search", shape=SHAPE)
@store_argument
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
def command(store: str, words: tuple[str, ...]) -> Answer:
    """Find groups, features and views by words.

    All the words must match: in names, descriptions, owners, units and tags.
    """
    with open_store(store) as opened:
        hits = opened.catalog.search(" ".join(words))
    rows = [(hit.kind, hit.name, hit.where, hit.text) for hit in hits]
    return Answer(
        {"hits": hits},
        lambda screen: (
            screen.table(("kind", "name", "found in", "text"), rows) if rows else screen.line("nothing found")
        ),
    )
