"""`asof split`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.writing import column_list

if TYPE_CHECKING:
    from asof.catalog.split import Split

SHAPE: Document = {
    "group": "profile@1",
    "hot": ["balance"],
    "cold": ["country", "born"],
    "tables": ["profile@1.3.hot", "profile@1.3.cold"],
    "last": {"commit": "profile@1:30", "compared": 1000, "changed": 950, "changed_cold_at_most": 4},
}


@asof_command("split", shape=SHAPE)
@store_argument
@click.argument("group")
@click.option("--cold", required=True, metavar="COL,COL", help="Features that hardly ever change.")
def command(store: str, group: str, cold: str) -> Answer:
    """Store features that hardly ever change apart from the others.

    From now on, a load stores them again only where one of them changed. Nothing else changes: no definition, view,
    answer or row that is stored, and it takes no time. The group must skip unchanged rows. A split stays.
    """
    with open_store(store) as opened:
        done = opened.catalog.split(group, cold=column_list(cold) or [])
    return Answer(_document(done), lambda screen: screen.line(str(done), style="green"))


def _document(done: "Split") -> Document:
    last = done.last
    return {
        "group": done.group,
        "hot": list(done.hot),
        "cold": list(done.cold),
        "tables": list(done.tables),
        "last": None
        if last is None
        else {
            "commit": last.id,
            "compared": last.compared,
            "changed": done.rows,
            "changed_cold_at_most": done.cold_rows,
        },
    }
