"""Drift: which columns of some rows are of another distribution than those of others.

The rule. A feature has drifted if a test says so and the move is large enough to matter:

- its values: the chi-square test of the counts where there are few different values, else Kolmogorov-Smirnov; and the
  population stability index is `psi` or more;
- or its missing values: the test of two shares; and the share of null and NaN moved by `missing` or more.

The p-values of all tests of all features of one comparison are corrected together by Holm's method: if nothing
drifted, some feature is called drifted in `alpha` of all comparisons at most, however many features there are. That
holds for rows that are independent of each other. Rows that follow each other in time mostly are not: there the sizes
protect from alarms about nothing, and the tests from alarms about few rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from asof.clock import from_us
from asof.errors import UsageError
from asof.statistics.column import ColumnStatistics
from asof.statistics.measures import Measured, MeasureName, measures, missing_share
from asof.statistics.shown import WIDEST, as_html, as_text

DISTANCES: tuple[MeasureName, ...] = ("psi", "js", "ks", "wasserstein")

Verdict = Literal["same", "drifted", "unknown"]

ALPHA, PSI, MISSING = 0.01, 0.1, 0.05
LARGE_PSI = 0.25

TESTS: Mapping[MeasureName, str] = {"chi2": "chi-square", "ks": "Kolmogorov-Smirnov"}


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a feature has drifted.

    Attributes:
        alpha: Share of the comparisons of like with like in which some feature may be called drifted.
        psi: Least population stability index.
        missing: Least change of the share of missing values, up or down.

    Raises:
        UsageError: One of them is no such number.
    """

    alpha: float = ALPHA
    psi: float = PSI
    missing: float = MISSING

    def __post_init__(self) -> None:
        """Check them."""
        for name, most in (("alpha", 1.0), ("psi", math.inf), ("missing", 1.0)):
            value: float = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            if not number or not (0 < value < most if name == "alpha" else 0 <= value <= most):
                between = "between 0 and 1" if name == "alpha" else f"from 0 to {most:g}"
                raise UsageError(f"{name}={value!r} is no such number", todo=f"pass one {between}")


@dataclass(frozen=True, slots=True)
class Mover:
    """Commits, and how much of a feature's move is theirs.

    Attributes:
        group: The group version, "weather@1".
        first: The first of them.
        last: The last: the same, but where commits are kept together.
        rows: Rows that they wrote.
        committed_us: When the last was committed.
        writer: Who wrote it; "" if it is unknown.
        meta: What the writer said of it, such as the name of a file.
        measure: What is measured: "psi", or "missing".
        whole: The measure, of all commits compared.
        without: The measure without these; the less, the more they moved it. None: there are no others.
        alone: The measure of these alone.
    """

    group: str
    first: int
    last: int
    rows: int
    committed_us: int
    measure: MeasureName
    whole: float
    without: float | None
    alone: float
    writer: str = ""
    meta: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def committed(self) -> datetime:
        """When the last of them was committed."""
        return from_us(self.committed_us)

    @property
    def id(self) -> str:
        """The commit's name, such as "weather@1:17"; of several "weather@1:17 to 20"."""
        return f"{self.group}:{self.first}" + ("" if self.first == self.last else f" to {self.last}")

    def __str__(self) -> str:
        """Return it as a sentence."""
        said = ", ".join(f"{name}={value}" for name, value in self.meta.items())
        source = " ".join(part for part in (f"by {self.writer}" if self.writer else "", said) if part)
        rest = "" if self.without is None else f", {self.without:.3g} without it"
        return f"{self.id}{f' ({source})' if source else ''}: {self.measure} {self.whole:.3g}{rest}"


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """What is said of one feature, of all rows or of a segment.

    Attributes:
        feature: Its name.
        baseline_rows: Rows on the one side.
        current_rows: Rows on the other.
        baseline_missing: Share of them that are null or NaN.
        current_missing: The same of the other side.
        measures: By name, see `asof.statistics.measures`; those that the columns allow.
        p: The lesser p-value of its tests, corrected for all that was compared at once; None: nothing was tested.
        verdict: drifted, same, or unknown: a side has no rows.
        why: What makes it drifted, as sentences.
        segment: The segment, as text; None: all rows.
        moved_by: The commits that moved it most, the first the most.
    """

    feature: str
    baseline_rows: int
    current_rows: int
    baseline_missing: float
    current_missing: float
    measures: Mapping[MeasureName, Measured]
    p: float | None
    verdict: Verdict
    why: tuple[str, ...] = ()
    segment: str | None = None
    moved_by: tuple[Mover, ...] = ()

    @property
    def name(self) -> str:
        """The feature, with its segment."""
        return self.feature if self.segment is None else f"{self.feature} [{self.segment}]"

    def value(self, measure: MeasureName) -> float | None:
        """Return what a measure says; None if the columns do not allow it."""
        found = self.measures.get(measure)
        return None if found is None else found.value

    def cells(self) -> list[str]:
        """Return the cells of a feature, as `Drift.HEADS` names them."""
        about = {name: "~" for name, each in self.measures.items() if each.source != "exact"}
        numbers = [_number(self.value(name), about.get(name, "")) for name in DISTANCES]
        moved = self.value("missing")
        return [
            self.name if len(self.name) <= 2 * WIDEST else self.name[: 2 * WIDEST - 3] + "...",
            self.verdict,
            *numbers,
            _signed(self.value("mean")),
            "" if moved is None else f"{moved:+.1%}" if moved else "",
            _chance(self.p),
            f"{self.baseline_rows:,} / {self.current_rows:,}",
            ", ".join(each.id for each in self.moved_by),
        ]

    def __str__(self) -> str:
        """Return it as a sentence."""
        moved = f"; moved by {self.moved_by[0]}" if self.moved_by else ""
        return f"{self.name}: {self.verdict}" + (f": {'; '.join(self.why)}{moved}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Drift:
    """A comparison of some rows with others, feature by feature.

    Attributes:
        of: The group or view, "weather@1".
        baseline: What it was compared with, in words.
        current: What was compared.
        features: One for each feature; for each feature of each segment if there are any.
        limits: From where on a feature has drifted.
        by: The column that makes the segments; "" for none.
        notes: What the reader must know: what was left out, what is approximate.
    """

    of: str
    baseline: str
    current: str
    features: tuple[FeatureDrift, ...]
    limits: Limits = field(default_factory=Limits)
    by: str = ""
    notes: tuple[str, ...] = ()

    HEADS: ClassVar[tuple[str, ...]] = (
        "feature", "verdict", "psi", "js", "ks", "wasserstein", "mean", "missing", "p", "rows", "moved by",
    )  # fmt: skip

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """Those that drifted, the greatest move first."""
        return tuple(sorted((each for each in self.features if each.verdict == "drifted"), key=_size, reverse=True))

    def __getitem__(self, feature: str) -> FeatureDrift:
        """Return what is said of a feature, or of a feature in a segment: "dep_delay [UA]"."""
        return next(each for each in self.features if each.name == feature)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return msgspec.to_builtins(self)

    def title(self) -> str:
        """Return what was compared, and what came of it, as a sentence."""
        every, many = len(self.features), len(self.drifted)
        what = "feature" if not self.by else f"feature by {self.by}"
        named = what if every == 1 else what.replace("feature", "features", 1)
        return f"{self.of}: {many} of {every} {named} drifted, {self.current} compared with {self.baseline}"

    def cells(self) -> list[list[str]]:
        """Return the cells of each feature, as `HEADS` names them."""
        return [each.cells() for each in self.features]

    def remarks(self) -> list[str]:
        """Return what the reader must know, and why features drifted."""
        limits = self.limits
        rule = (
            f"drifted: p, corrected for all features, is {limits.alpha:g} or less, and psi {limits.psi:g} or more,"
            f" or missing moved by {limits.missing:.0%} or more"
        )
        about = any(each.source != "exact" for one in self.features for each in one.measures.values())
        sketched = ["~ within the bounds of sketches, which p takes off first"] if about else []
        return [*map(str, self.drifted), rule, *sketched, *self.notes]

    def __str__(self) -> str:
        """Return it as text, a line a feature."""
        return as_text(self.title(), [self.HEADS, *self.cells()], remarks=self.remarks())

    def _repr_html_(self) -> str:
        return as_html(self.title(), [self.HEADS, *self.cells()], remarks=self.remarks())


@dataclass(frozen=True, slots=True)
class Pair:
    """A feature on both sides."""

    feature: str
    baseline: ColumnStatistics
    current: ColumnStatistics
    segment: str | None = None


def compare(pairs: Sequence[Pair], limits: Limits) -> tuple[FeatureDrift, ...]:
    """Return what is said of each feature, with p-values corrected for all tests of all of them together."""
    found = [measures(pair.baseline, pair.current) for pair in pairs]
    tests = [(at, *test) for at, each in enumerate(found) for test in _tests(each)]
    adjusted: list[dict[MeasureName, float]] = [{} for _ in pairs]
    for (at, name, _), p in zip(tests, holm([p for _, _, p in tests]), strict=True):
        adjusted[at][name] = p
    return tuple(_judged(pair, each, p, limits) for pair, each, p in zip(pairs, found, adjusted, strict=True))


def holm(given: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method: where there is no effect one is alpha or less in alpha of all cases.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    found = [0.0] * len(given)
    highest = 0.0
    for place, at in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        highest = max(highest, min(1.0, (len(given) - place) * given[at]))
        found[at] = highest
    return found


def _tests(measured: Mapping[MeasureName, Measured]) -> list[tuple[MeasureName, float]]:
    """Return the p-values of the tests of a feature: of its values, of its missing values."""
    chosen: tuple[MeasureName, ...] = ("chi2" if "chi2" in measured else "ks", "missing")
    found: list[tuple[MeasureName, float]] = []
    for name in chosen:
        p = measured[name].p if name in measured else None
        if p is not None:
            found.append((name, p))
    return found


def _judged(
    pair: Pair, measured: Mapping[MeasureName, Measured], adjusted: Mapping[MeasureName, float], limits: Limits
) -> FeatureDrift:
    why = _why(pair, measured, adjusted, limits)
    return FeatureDrift(
        pair.feature,
        pair.baseline.rows,
        pair.current.rows,
        missing_share(pair.baseline),
        missing_share(pair.current),
        measured,
        min(adjusted.values(), default=None),
        "unknown" if not measured else "drifted" if why else "same",
        why,
        pair.segment,
    )


def _why(
    pair: Pair, measured: Mapping[MeasureName, Measured], adjusted: Mapping[MeasureName, float], limits: Limits
) -> tuple[str, ...]:
    """Return what makes a feature drifted; nothing if it is not."""
    if not measured:
        return ()
    kinds = pair.baseline.kind, pair.current.kind
    if "other" not in kinds and kinds[0] != kinds[1]:
        return (f"it was {kinds[0]} and is {kinds[1]}",)
    why: list[str] = []
    for name, p in adjusted.items():
        if p > limits.alpha:
            continue
        size = measured["missing" if name == "missing" else "psi"].value
        if name == "missing" and abs(size) >= limits.missing:
            before, after = missing_share(pair.baseline), missing_share(pair.current)
            why.append(f"{before:.1%} were missing, now {after:.1%}")
        elif name != "missing" and size >= limits.psi:
            great = "large" if size >= LARGE_PSI else "moderate"
            why.append(f"psi {size:.3g} is {great} ({TESTS[name]} {measured[name].value:.3g})")
    return tuple(why)


def _size(found: FeatureDrift) -> float:
    return max(found.value("psi") or 0.0, abs(found.value("missing") or 0.0))


def _number(value: float | None, about: str) -> str:
    return "" if value is None else f"{about}{value:.3g}" if value >= 0.0005 else "0"  # noqa: PLR2004 - nobody reads on


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def _chance(p: float | None) -> str:
    return "" if p is None else "<1e-9" if p < 1e-9 else f"{p:.2g}"  # noqa: PLR2004 - as good as never
