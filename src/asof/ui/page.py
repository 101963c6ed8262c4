"""What a page is asked, what it answers, and the sections that the pages of groups and views are made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from asof.access import Caller
from asof.clock import parse_time
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.figures import Figures
from asof.ui.links import page_of
from asof.ui.sight import Seen, Sight

OVERVIEW = ""
"""The tab that is shown first."""

Registered = TypeVar("Registered", RegisteredGroup, RegisteredView)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a page.

    Attributes:
        url: The path, without the query.
        path: Its parameters.
        query: The query; of a name that comes twice the last value.
        caller: Who asks.
        sight: What he looks at.
        base: The address at which the store is served; "" if it is not.
        figures: What the server counted; None where no server runs.
    """

    url: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    caller: Caller
    sight: Sight
    base: str = ""
    figures: Figures | None = None

    @property
    def seen(self) -> Seen:
        """The definitions that the caller may read."""
        return self.sight.seen(self.caller)

    def moment(self, name: str) -> datetime | None:
        """Return a time of the query; one without a zone is in UTC, as browsers send it. None if it is not given.

        Raises:
            UsageError: It is no time.
        """
        text = self.query.get(name, "").strip()
        if not text:
            return None
        has_zone = text.endswith("Z") or "+" in text or text.count("-") > 2  # noqa: PLR2004 - of the date
        return parse_time(text if has_zone else f"{text}Z", what=name)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows.

    Attributes:
        template: The template's file.
        title: The name of the page.
        data: What its template shows.
        status: Of the answer.
    """

    template: str
    title: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200


@dataclass(frozen=True, slots=True)
class Subject(Generic[Registered]):
    """The group or view that a page is about, and what was asked."""

    asked: Asked
    registered: Registered

    @property
    def url(self) -> str:
        """Its page: of the newest version by its name, else by name and version."""
        return page_of(self.registered, self.asked.seen)


@dataclass(frozen=True, slots=True)
class Section(Generic[Registered]):
    """A part of the page of a group or view.

    Attributes:
        title: Its heading.
        template: The template's file, which is given what `made` returned.
        made: What the template shows; None if there is nothing to show: then the section is left out.
        tab: The tab that it stands in.
        applies: Whether the tab is offered; cheap, as it is asked on every tab.
    """

    title: str
    template: str
    made: Callable[[Subject[Registered]], Mapping[str, Any] | None]
    tab: str = OVERVIEW
    applies: Callable[[Subject[Registered]], bool] = lambda _: True


def tabs_of(sections: Sequence[Section[Registered]], subject: Subject[Registered]) -> list[str]:
    """Return the tabs of a page, in the order of its sections."""
    return list(dict.fromkeys(each.tab for each in sections if each.applies(subject)))


def sections_of(
    sections: Sequence[Section[Registered]], subject: Subject[Registered], tab: str
) -> list[tuple[Section[Registered], Mapping[str, Any]]]:
    """Return what a tab shows."""
    wanted = [each for each in sections if each.tab == tab and each.applies(subject)]
    made = [(each, each.made(subject)) for each in wanted]
    return [(each, data) for each, data in made if data is not None]
