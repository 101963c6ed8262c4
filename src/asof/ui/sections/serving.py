"""How a view is served: latency, values by status, and its serving log."""

from collections.abc import Mapping
from typing import Any

from asof.registry.registered import RegisteredView
from asof.ui.charts import Bar, bars
from asof.ui.figures import Latency
from asof.ui.page import Section, Subject
from asof.ui.shown import span


def _made(subject: Subject[RegisteredView]) -> Mapping[str, Any] | None:
    view, asked = subject.registered, subject.asked
    name = view.definition.name
    figures: list[tuple[str, str, str, str]] = []
    chart = None
    if asked.figures is not None:
        counted = asked.figures.counted()
        latency, values = counted.online.get(name), counted.values.get(name, {})
        if latency is not None and latency.count:
            figures += _latency(latency)
            chart = _chart(latency)
        figures += _statuses(values)
    if view.definition.log:
        log = asked.sight.serving_log(view)
        lost = log.dropped + log.failed
        figures += [
            ("answers logged", f"{log.written:,}", "", "in this process since it began"),
            ("lost for the log", f"{lost:,}", "bad" if lost else "", log.last_error),
        ]
    return {"figures": figures, "chart": chart} if figures else None


def _latency(latency: Latency) -> list[tuple[str, str, str, str]]:
    found = [("answers", f"{latency.count:,}", "", "since the server began")]
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        bound = latency.within(share)
        if bound is not None:
            text = f"≤ {span(bound)}" if bound != float("inf") else f"> {span(latency.buckets[-2][0])}"
            found.append((f"{name} in the server", text, "", "the bound of the bucket that it lies in"))
    return found


def _chart(latency: Latency) -> Any:  # noqa: ANN401 - markup
    each, before = list[Bar](), 0
    for bound, count in latency.buckets:
        name = f"≤ {span(bound)}" if bound != float("inf") else "more"
        each.append(Bar(name, count - before, f"{name}: {count - before:,} answers"))
        before = count
    last = max((number for number, bar in enumerate(each) if bar.value), default=0)
    return bars(each[: last + 2], unit="answers by latency", about="How long online answers took in the server")


def _statuses(values: Mapping[str, int]) -> list[tuple[str, str, str, str]]:
    total = sum(values.values())
    missed = sum(count for status, count in values.items() if status not in ("PRESENT", "NULL"))
    if not total:
        return []
    hover = ", ".join(f"{count:,} {status}" for status, count in sorted(values.items()))
    return [("misses", f"{missed / total:.1%}", "warn" if missed else "good", f"of a sample: {hover}")]


OF_VIEW: Section[RegisteredView] = Section("Serving", "sections/serving.html", _made)
