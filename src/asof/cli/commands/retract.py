"""`asof retract`."""

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import COMMIT_SHAPE, commit_document


@asof_command(
    "retract", shape={**COMMIT_SHAPE, "kind": "retract", "rows": 0, "retracts": 16, "reason": "sensor broken"}
)
@store_argument
@click.argument("commit")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept with the correction.")
def command(store: str, commit: str, reason: str) -> Answer:
    """Hide the rows of a commit.

    COMMIT is written as weather:17, see `asof commits`. The correction is itself a commit; no file is deleted.
    """
    with open_store(store) as opened:
        done = opened.retract(commit, reason=reason)
    return Answer(
        commit_document(done), lambda screen: screen.line(f"{done.id}: commit {done.target} is hidden", style="green")
    )
