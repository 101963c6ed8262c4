"""How a historical read was answered: a profile for each look-up, as text for people."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from asof.engine.port import Profile, greatest, total


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How a read was answered.

    Attributes:
        profiles: How each look-up was answered, by group (and the keys that it was looked up under).
    """

    profiles: Mapping[str, Profile]

    def __str__(self) -> str:
        """Return some lines a look-up."""
        return "\n".join(line for name, profile in self.profiles.items() for line in _lines(name, profile))


def merged(one: Profile, other: Profile) -> Profile:
    """Return the profile of two batches of one look-up: what was read and how long it took add up."""
    same = (one.plan, one.why) == (other.plan, other.why)
    return Profile(
        plan=one.plan if one.plan == other.plan else f"{one.plan}, {other.plan}",
        why=one.why if same else f"{one.why}; {other.why}",
        files=greatest(one.files, other.files),
        files_read=greatest(one.files_read, other.files_read),
        row_groups=total(one.row_groups, other.row_groups),
        row_groups_read=total(one.row_groups_read, other.row_groups_read),
        rows=greatest(one.rows, other.rows),
        rows_read=total(one.rows_read, other.rows_read),
        peak_bytes=greatest(one.peak_bytes, other.peak_bytes),
        spilled_bytes=greatest(one.spilled_bytes, other.spilled_bytes),
        seconds=_times_of_both(one.seconds, other.seconds),
        processor_seconds=_times_of_both(one.processor_seconds, other.processor_seconds),
    )


def plain(profile: Profile) -> dict[str, object]:
    """Return a profile as what JSON can say."""
    return {field.name: getattr(profile, field.name) for field in fields(profile)}


def _times_of_both(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in (*one, *other)}


def _lines(name: str, profile: Profile) -> Iterable[str]:
    yield f"{name}: {profile.plan or 'the engine does not say how'}" + (f" ({profile.why})" if profile.why else "")
    read = [
        f"{_number(done)} of {_number(every)} {what}"
        for what, done, every in (
            ("files", profile.files_read, profile.files),
            ("row groups", profile.row_groups_read, profile.row_groups),
            ("rows", profile.rows_read, profile.rows),
        )
        if done is not None
    ]
    if read:
        yield f"  read      {', '.join(read)}"
    if profile.seconds:
        yield f"  steps     {_times(profile.seconds)}"
    if profile.processor_seconds:
        yield f"  processor {_times(profile.processor_seconds)}"
    if profile.peak_bytes is not None:
        spilled = f", {_size(profile.spilled_bytes)} spilled" if profile.spilled_bytes else ""
        yield f"  memory    {_size(profile.peak_bytes)}{spilled}"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _times(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {spent:.3f} s" for name, spent in seconds.items())


def _size(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
