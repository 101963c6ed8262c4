"""How the rows of a training set are parted: by time, by chance, or by the groups that they belong to.

A split is a pure value. Which part a row is in depends on the row alone (and, with shares of time, on the times of the
others): order, batches and, by chance or by groups, later rows change nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

from asof.clock import from_us, parse_time, show_us, to_us
from asof.definitions.durations import duration_us, show_duration
from asof.definitions.names import checked_name
from asof.errors import UsageError

NAMES: Mapping[int, tuple[str, ...]] = {2: ("train", "test"), 3: ("train", "validation", "test")}
"""What two and three parts are called if nobody says."""

ROUNDING = 1e-9
"""How far shares may be from 1 together: that of some additions."""

Shares = Mapping[str, float] | Sequence[float]
"""Each part's share, which are 1 together: by name, or in the order of `NAMES`."""

Document = dict[str, Any]
"""JSON: the foreign edge where Any is honest."""


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Parts one after the other in time: what is learnt from is before what it is tried on.

    A row at T is in the first part whose end is not before T, so parts are (lo, hi]. With shares, the end of a part is
    the time of the row at the place ceil(n * (its share and those before it)) of the n rows in the order of T: rows of
    one time are never parted.

    Args:
        cuts: The ends of all parts but the last, in order: aware datetimes, or such text.
        shares: Each part's share of the rows, in place of cuts.
        names: The parts' names, in order; default: "train" and "test", or "train", "validation" and "test".
        gap: Rows of the last such time before a cut, in (cut - gap, cut], are left out, and counted: with the horizon
            of the label no label of a part was known later than the part ends.

    Raises:
        UsageError: Neither or both are given, cuts that do not rise, shares that are not 1 together, or wrong names.
    """

    names: tuple[str, ...]
    cuts_us: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    gap_us: int = 0

    def __init__(
        self,
        cuts: Sequence[datetime | str] | datetime | str | None = None,
        *,
        shares: Shares | None = None,
        names: Sequence[str] | None = None,
        gap: str | timedelta = "0s",
    ) -> None:
        """Check and keep the parts."""
        put = object.__setattr__
        if (cuts is None) == (shares is None):
            raise UsageError(
                "a TimeSplit needs cuts or shares", todo='pass TimeSplit(shares={"train": 0.8, "test": 0.2})'
            )
        ends: tuple[int, ...] = ()
        parts: tuple[float, ...] = ()
        if shares is not None:
            named, parts = _shares(shares, names)
        else:
            given = [cuts] if isinstance(cuts, str | datetime) else list(cuts or ())
            ends = tuple(to_us(parse_time(each, what="cut") if isinstance(each, str) else each) for each in given)
            if not ends or any(one >= other for one, other in pairwise(ends)):
                raise UsageError("the cuts of a TimeSplit must rise", todo="pass one time or more, the earliest first")
            named = _names(names, len(ends) + 1)
        put(self, "names", named)
        put(self, "cuts_us", ends)
        put(self, "shares", parts)
        put(self, "gap_us", duration_us(gap, what="gap"))

    @property
    def cuts(self) -> tuple[datetime, ...]:
        """The ends of all parts but the last; none while shares wait for the rows."""
        return tuple(map(from_us, self.cuts_us))

    def at(self, cuts_us: Sequence[int]) -> "TimeSplit":
        """Return the split whose shares of some rows end at these times."""
        resolved = object.__new__(TimeSplit)
        for name, value in (("names", self.names), ("shares", self.shares), ("gap_us", self.gap_us)):
            object.__setattr__(resolved, name, value)
        object.__setattr__(resolved, "cuts_us", tuple(cuts_us))
        return resolved

    def __str__(self) -> str:
        """Return it as text."""
        ends = ", ".join(map(show_us, self.cuts_us)) or ", ".join(f"{share:g}" for share in self.shares)
        gap = f", gap {show_duration(self.gap_us)}" if self.gap_us else ""
        return f"by time: {', '.join(self.names)} at {ends}{gap}"


@dataclass(frozen=True, slots=True)
class GroupSplit:
    """Whole groups of rows by chance: rows that are equal in some columns are all in one part.

    The part is that of the number `asof.statistics.hashes.row_numbers` of these values, mixed with the seed: a number
    from 0 to 1, which falls into the parts' shares one after the other.

    Args:
        by: The columns of the spine, such as "tailnum".
        shares: Each part's share of the groups.
        seed: Another seed makes other parts.
        names: The parts' names if shares have none.

    Raises:
        UsageError: No column, or shares that are not 1 together.
    """

    by: tuple[str, ...]
    names: tuple[str, ...]
    shares: tuple[float, ...]
    seed: int = 0

    def __init__(
        self, by: str | Sequence[str], shares: Shares, seed: int = 0, *, names: Sequence[str] | None = None
    ) -> None:
        """Check and keep the parts."""
        columns = (by,) if isinstance(by, str) else tuple(by)
        if not columns or not all(isinstance(each, str) for each in columns):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError("a GroupSplit needs columns", where="by=", todo='name columns of the spine: by="tailnum"')
        _put_shares(self, shares, seed, names)
        object.__setattr__(self, "by", columns)

    def __str__(self) -> str:
        """Return it as text."""
        return f"by {', '.join(self.by)}: {_shown(self.names, self.shares)}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """Rows by chance: as `GroupSplit` over all columns of the spine, so equal rows of it are in one part.

    Args:
        shares: Each part's share of the rows.
        seed: Another seed makes other parts.
        names: The parts' names if shares have none.

    Raises:
        UsageError: Shares that are not 1 together.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    seed: int = 0

    def __init__(self, shares: Shares, seed: int = 0, *, names: Sequence[str] | None = None) -> None:
        """Check and keep the parts."""
        _put_shares(self, shares, seed, names)

    def __str__(self) -> str:
        """Return it as text."""
        return f"by chance: {_shown(self.names, self.shares)}, seed {self.seed}"


Split = TimeSplit | RandomSplit | GroupSplit


def checked_split(split: object) -> Split | None:
    """Return a split that a caller gave.

    Raises:
        UsageError: It is none.
    """
    if split is None or isinstance(split, TimeSplit | RandomSplit | GroupSplit):
        return split
    todo = "pass asof.TimeSplit(...), asof.RandomSplit(...) or asof.GroupSplit(...)"
    raise UsageError(f"{split!r} is no split", where="split=", todo=todo)


def split_document(split: Split | None) -> Document | None:
    """Return a split as JSON."""
    match split:
        case None:
            return None
        case TimeSplit():
            return {
                "kind": "time",
                "names": list(split.names),
                "cuts_us": list(split.cuts_us),
                "shares": list(split.shares),
                "gap_us": split.gap_us,
            }
        case GroupSplit():
            shares = dict(zip(split.names, split.shares, strict=True))
            return {"kind": "group", "by": list(split.by), "shares": shares, "seed": split.seed}
        case RandomSplit():
            return {"kind": "random", "shares": dict(zip(split.names, split.shares, strict=True)), "seed": split.seed}


def split_from(document: object) -> Split | None:
    """Return the split of a document.

    Raises:
        UsageError: It is none.
    """
    if document is None:
        return None
    try:
        parts = cast("Document", document)
        match parts["kind"]:
            case "time":
                names, gap = parts["names"], timedelta(microseconds=parts["gap_us"])
                cuts = [from_us(each) for each in parts["cuts_us"]]
                if not parts["shares"]:
                    return TimeSplit(cuts, names=names, gap=gap)
                return TimeSplit(shares=parts["shares"], names=names, gap=gap).at(parts["cuts_us"])
            case "group":
                return GroupSplit(parts["by"], parts["shares"], parts["seed"])
            case "random":
                return RandomSplit(parts["shares"], parts["seed"])
            case kind:
                raise UsageError(f"{kind!r} is no kind of split", where="split=")
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"{document!r} is no split", where="split=") from error


def _put_shares(split: object, shares: Shares, seed: int, names: Sequence[str] | None) -> None:
    named, parts = _shares(shares, names)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"seed={seed!r} is no seed", todo="pass a number from 0 to 2**63 - 1")
    for name, value in (("names", named), ("shares", parts), ("seed", seed)):
        object.__setattr__(split, name, value)


def _shares(shares: Shares, names: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if isinstance(shares, str | bytes) or not isinstance(shares, Mapping | Sequence):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"shares={shares!r} are no shares", todo='pass them as {"train": 0.8, "test": 0.2}')
    values = list(shares.values()) if isinstance(shares, Mapping) else list(shares)
    for each in values:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 < each < 1:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"{each!r} is no share", where="shares=", todo="pass numbers between 0 and 1")
    if abs(math.fsum(values) - 1) > ROUNDING:
        raise UsageError(f"the shares are {math.fsum(values):g} together", where="shares=", todo="they must be 1")
    named = tuple(shares) if isinstance(shares, Mapping) and names is None else names
    return _names(named, len(values)), tuple(map(float, values))


def _names(names: Sequence[str] | None, parts: int) -> tuple[str, ...]:
    if names is None and parts not in NAMES:
        raise UsageError(f"what are the {parts} parts called?", todo="pass names=, or shares by name")
    found = tuple(checked_name(name, "part of a split") for name in names or NAMES[parts])
    if len(found) != parts or len(set(found)) != parts:
        raise UsageError(
            f"{parts} parts are named {', '.join(found)}", where="names=", todo="give each a name of its own"
        )
    return found


def _shown(names: Sequence[str], shares: Sequence[float]) -> str:
    return ", ".join(f"{name} {share:g}" for name, share in zip(names, shares, strict=True))
