"""`asof nearest`."""

from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, pairs, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document, whole_microseconds
from asof.cli.lookup import find, key_values
from asof.cli.writing import column_list
from asof.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.definitions import FeatureGroup
    from asof.serving.nearest.answer import Neighbours
    from asof.store import Store

SHAPE: Document = {
    "rows": [{"id": 17, "distance": 0.0, "category": "shoes"}],
    "exact": True,
    "recall": 1.0,
    "compared": 1000,
    "applying": False,
    "clock": "2026-01-01T12:00:00Z",
    "commits": {"products@1": 17},
}


@asof_command("nearest", shape=SHAPE)
@store_argument
@click.argument("group")
@click.argument("feature")
@click.argument("vector", required=False)
@click.option("--like", multiple=True, metavar="KEY=VALUE", help="The newest vector of this key, in place of VECTOR.")
@click.option("--k", type=int, default=10, show_default=True, metavar="N", help="At most so many rows.")
@click.option(
    "--metric", type=click.Choice(["cosine", "l2", "dot"]), default="cosine", show_default=True, help="The distance."
)
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only rows with this key or feature; of one name given twice, with either value.",
)
@click.option("--columns", metavar="COL,COL", help="The features to show; default: all but the vector.")
@click.option("--approximate", is_flag=True, help="Likely rows are good enough, of very many; see docs/embeddings.md.")
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    group: str,
    feature: str,
    vector: str | None,
    like: tuple[str, ...],
    k: int,
    metric: Any,  # noqa: ANN401 - one of the choices
    where: tuple[str, ...],
    columns: str | None,
    approximate: bool,  # noqa: FBT001 - click's flag
) -> Answer:
    """Show the keys whose newest vector is nearest to a vector.

    GROUP is a group that is online, FEATURE one of its vectors; VECTOR is written as JSON, "[0.1, 0.2]". Rows that are
    expired, retired or null do not count. The nearest come first, equal distances by key.
    """
    if (vector is None) != bool(like):
        raise click.UsageError('pass a vector such as "[0.1, 0.2]", or --like KEY=VALUE')
    with open_store(store) as opened:
        definition: Any = find(opened, group)
        wanted = _vector(vector) if vector is not None else _like(opened, group, feature, definition, like)
        found = opened.nearest(
            group, feature, wanted, k, metric=metric, where=_conditions(definition, where),
            columns=column_list(columns), exact=not approximate,
        )  # fmt: skip
    return Answer(_document(found), lambda screen: _show(screen, found))


def _vector(text: str) -> Any:  # noqa: ANN401 - the store says what is wrong with it
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"{text!r} is no vector: {error}", todo='write it as "[0.1, 0.2]"') from error


def _like(store: "Store", group: str, feature: str, definition: "FeatureGroup", given: tuple[str, ...]) -> Any:  # noqa: ANN401 - a feature's value
    keys = key_values(definition, pairs(given, what="key"))
    found = store.online(group, keys)
    if feature not in found.values:
        raise NotFoundError.named("feature", feature, found.values, where=f"group {group}")
    if found.values[feature] is None:
        raise UsageError(f"{feature} of this key is {found.statuses[feature]}", todo="name another, or pass a vector")
    return found.values[feature]


def _conditions(definition: "FeatureGroup", given: tuple[str, ...]) -> Any:  # noqa: ANN401 - see `Store.nearest`
    from asof.ingest.key_texts import key_values as values_of

    types = {**definition.entity.keys, **{each.name: each.dtype for each in definition.features}}
    found: dict[str, list[Any]] = {}
    for text in given:
        pair = pairs((text,), what="condition")
        for name, value in values_of(types, pair).items():
            if name not in types:
                raise NotFoundError.named("key or feature", name, types, where=f"group {definition.name}")
            found.setdefault(name, []).append(value)
    return found or None


def _document(found: "Neighbours") -> dict[str, Any]:
    return {
        "rows": whole_microseconds(found.to_arrow()).to_pylist(),
        "exact": found.exact,
        "recall": found.recall,
        "compared": found.compared,
        "applying": found.applying,
        "clock": found.clock,
        "commits": found.commits,
    }


def _show(screen: "Screen", found: "Neighbours") -> None:
    from asof.cli.preview import show_rows
    from asof.cli.screen import counted

    show_rows(screen, found.to_arrow(), limit=len(found))
    how = "exact" if found.exact else f"approximate, recall@10 {found.recall:.2f}"
    screen.line(f"of {counted(found.compared, 'row')}, {how}")
