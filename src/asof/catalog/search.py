"""Search over definitions: names, columns, descriptions, units, owners and tags."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, NamedTuple, TypeVar, overload

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
        self._things = [_Thing.of(kind, name, texts) for kind, name, texts in _things(groups, views)]

    def search(self, words: str) -> list[Hit]:
        """Return what matches all the words, the best first; of several matches of one thing the best."""
        return [*self.found(words)]

    def found(self, words: str) -> "Hits":
        """Return what `search` returns, each hit made when it is asked for: a page shows few of thousands."""
        wanted = words.lower().split()
        things = self._things if wanted else []
        for word in wanted:
            things = [thing for thing in things if word in thing.every]
        best: dict[str, tuple[int, str, _Thing, _Ranked]] = {}
        for thing in things:
            text = thing.best(wanted)
            score = text.weight + (EXACT if thing.last in wanted else 0)
            known = best.get(thing.name)
            if known is None or -known[0] < score:
                best[thing.name] = -score, thing.name, thing, text
        return Hits(sorted(best.values(), key=itemgetter(0, 1)))


class Hits(Sequence[Hit]):
    """What was found, the best first."""

    def __init__(self, found: "Sequence[tuple[int, str, _Thing, _Ranked]]") -> None:
        """Keep what matched."""
        self._found = found

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> "Hits": ...
    def __getitem__(self, index: int | slice) -> "Hit | Hits":
        """Return a hit, or some."""
        if isinstance(index, slice):
            return Hits(self._found[index])
        less, name, thing, text = self._found[index]
        return Hit(thing.kind, name, text.where, text.text, -less)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._found)


_Text = tuple[str, str, int]
_Kind = Literal["group", "feature", "view"]

EXACT = 5
"""What a name counts more that is one of the words."""


class _Ranked(NamedTuple):
    """A text of a thing: where it is, how much it counts, and the same in lower case."""

    where: str
    text: str
    weight: int
    low: str


class _Thing(NamedTuple):
    """What may be found.

    Attributes:
        kind: What it is.
        name: Its name.
        last: The last part of it.
        every: All its texts, in lower case.
        texts: Them, the one that counts most first; of several that count the same, the shortest.
    """

    kind: _Kind
    name: str
    last: str
    every: str
    texts: tuple[_Ranked, ...]

    @classmethod
    def of(cls, kind: _Kind, name: str, texts: Sequence[_Text]) -> "_Thing":
        """Put its texts in lower case, and in order."""
        ranked = [_Ranked(where, text, weight, text.lower()) for where, text, weight in texts]
        ranked.sort(key=lambda each: (-each.weight, len(each.low)))
        return cls(kind, name, name.rpartition(".")[2], " ".join(text for _, text, _ in texts).lower(), tuple(ranked))

    def best(self, words: Sequence[str]) -> _Ranked:
        """Return the first text in which one of the words is."""
        for text in self.texts:
            for word in words:
                if word in text.low:
                    return text
        return self.texts[0]


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
