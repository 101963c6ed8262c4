"""Search over definitions: names, columns, descriptions, units, owners and tags."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, TypeVar

from asof.registry.registered import RegisteredGroup, RegisteredView

R = TypeVar("R", RegisteredGroup, RegisteredView)


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found.

    Attributes:
        kind: "group", "feature" or "view".
        name: Its name; "weather.temp" for a feature.
        where: What matched ("name", "description", "tag domain").
        text: The text that matched.
        score: Greater is better.
    """

    kind: Literal["group", "feature", "view"]
    name: str
    where: str
    text: str
    score: int


def search(groups: Sequence[RegisteredGroup], views: Sequence[RegisteredView], words: str) -> list[Hit]:
    """Return what matches all the words, the best first; of several matches of one thing the best."""
    return Index(groups, views).search(words)


class Index:
    """The texts of definitions, put in lower case once, for who searches the same ones again.

    Args:
        groups: Every version of the groups; the newest of each is searched.
        views: The same of views.
    """

    def __init__(self, groups: Sequence[RegisteredGroup], views: Sequence[RegisteredView]) -> None:
        """Gather the texts."""
        self._things: list[tuple[_Kind, str, str, list[tuple[str, str, int, str]]]] = [
            (kind, name, " ".join(text for _, text, _ in texts).lower(), [(*each, each[1].lower()) for each in texts])
            for kind, name, texts in _things(groups, views)
        ]

    def search(self, words: str) -> list[Hit]:
        """Return what matches all the words, the best first; of several matches of one thing the best."""
        wanted = words.lower().split()
        best: dict[str, Hit] = {}
        if not wanted:
            return []
        for kind, name, every, texts in self._things:
            if not all(word in every for word in wanted):
                continue
            ranked = ((any(word in low for word in wanted), weight, -len(low), w, t) for w, t, weight, low in texts)
            _, weight, _, where, text = max(ranked, key=itemgetter(0, 1, 2))
            exact = 5 if name.rpartition(".")[2] in wanted else 0
            hit = Hit(kind, name, where, text, weight + exact)
            if name not in best or best[name].score < hit.score:
                best[name] = hit
        return sorted(best.values(), key=lambda hit: (-hit.score, hit.name))


_Text = tuple[str, str, int]
_Kind = Literal["group", "feature", "view"]


def _things(
    groups: Sequence[RegisteredGroup], views: Sequence[RegisteredView]
) -> Iterator[tuple[_Kind, str, list[_Text]]]:
    for group in _newest(groups):
        definition = group.definition
        yield (
            "group",
            definition.name,
            [
                ("name", definition.name, 10),
                ("description", definition.description, 5),
                ("owner", definition.owner, 4),
                ("project", definition.project, 4),
                ("entity", f"{definition.entity.name} {definition.entity.description}", 4),
                ("keys", " ".join(definition.keys), 4),
                ("event time", definition.event_time or "", 2),
                *([("external", f"external {definition.external}", 4)] if definition.external else []),
                ("source", "" if definition.taken_from is None else str(definition.taken_from), 3),
                ("transform", "" if definition.transform is None else str(definition.transform), 3),
                *((f"tag {tag}", f"{tag} {value}", 4) for tag, value in definition.tags.items()),
            ],
        )
        for feature in definition.features:
            yield (
                "feature",
                f"{definition.name}.{feature.name}",
                [
                    ("name", feature.name, 10),
                    ("description", feature.description, 6),
                    ("unit", feature.unit, 3),
                    ("group", definition.name, 2),
                    *((f"tag {tag}", f"{tag} {value}", 4) for tag, value in feature.tags.items()),
                ],
            )
    for view in _newest(views):
        definition = view.definition
        yield (
            "view",
            definition.name,
            [
                ("name", definition.name, 10),
                ("description", definition.description, 5),
                ("owner", definition.owner, 4),
                ("project", definition.project, 4),
                ("features", " ".join(definition.output_names()), 2),
                *((f"tag {tag}", f"{tag} {value}", 4) for tag, value in definition.tags.items()),
            ],
        )


def _newest(versions: Sequence[R]) -> list[R]:
    return list({version.definition.name: version for version in versions}.values())
