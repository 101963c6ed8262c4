"""`asof commits`."""

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import COMMIT_SHAPE, commit_document
from asof.cli.writing import change_rates

COLUMNS = ("commit", "committed at", "by", "kind", "rows", "known since", "notes")
KNOWN_SINCE = {"commit": "its commit", "delay": "event + delay", "column": "recorded"}


@asof_command("commits", shape={"commits": [COMMIT_SHAPE]})
@store_argument
@click.argument("group", required=False)
@click.option("--matching", default="", metavar="WORDS", help="Only with these words in meta, reason, writer or kind.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest so many.")
def command(store: str, group: str | None, matching: str, limit: int | None) -> Answer:
    """List what was written to a group, or to all groups, the oldest first."""
    with open_store(store) as opened:
        found = opened.catalog.commits(group, matching=matching, limit=limit)
    rows = [
        (
            commit.id,
            commit.committed_at.replace(microsecond=0),
            commit.writer,
            commit.kind,
            commit.rows,
            "" if commit.kind == "retract" else KNOWN_SINCE[commit.availability],
            "; ".join(
                [
                    *([f"hides {commit.target}: {commit.reason}"] if commit.target is not None else []),
                    *([f"{commit.unchanged:,} unchanged"] if commit.unchanged else []),
                    *([f"{commit.retired:,} absent keys retired"] if commit.retired else []),
                    *([f"changed: {change_rates(commit, most=3)}"] if commit.compared else []),
                    *([f"{commit.quarantined:,} quarantined"] if commit.quarantined else []),
                    *(f"{name}={value}" for name, value in commit.meta.items()),
                ]
            ),
        )
        for commit in found
    ]
    document = {"commits": [commit_document(commit) for commit in found]}
    nothing = "no commits with these words" if matching else "no commits yet"
    return Answer(document, lambda screen: screen.table(COLUMNS, rows) if rows else screen.line(nothing))
