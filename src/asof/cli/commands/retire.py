"""`asof retire`."""

from datetime import datetime

import click

from asof.cli.command import Answer, open_store, pairs, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import COMMIT_SHAPE, commit_document
from asof.cli.lookup import find_group, key_values
from asof.cli.writing import show_commit


@asof_command("retire", shape={**COMMIT_SHAPE, "kind": "retire", "rows": 1})
@store_argument
@click.argument("group")
@click.argument("keys", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--event-time", metavar="TIME", help='When it ended: "now", or such as 2026-01-01T12:00:00Z.')
def command(store: str, group: str, keys: tuple[str, ...], event_time: str | None) -> Answer:
    """Store that a key has ended.

    Reads after that time say RETIRED; its history stays.
    """
    given = pairs(keys, what="key")
    with open_store(store) as opened:
        definition = find_group(opened, group)
        if definition is not None and not definition.static and event_time is None:
            raise click.UsageError("when did it end? -> pass --event-time now, or --event-time 2026-01-01T12:00:00Z")
        values = given if definition is None else key_values(definition, given)
        commit = opened.retire(group, values, event_time=_moment(event_time))
    return Answer(commit_document(commit), lambda screen: show_commit(screen, commit))


def _moment(text: str | None) -> datetime | None:
    from asof.clock import parse_time, system_clock

    if text == "now":
        return system_clock()
    return None if text is None else parse_time(text, what="--event-time")
