"""Who changed what, when, and from where.

A commit says itself who wrote it, in the transaction that makes it visible; whatever else changes the store is
recorded as a deed in the transaction that does it. So nothing is recorded twice, and nothing is done unrecorded.
"""

from asof.errors import UsageError
from asof.parts import Parts
from asof.records import Deed


def audit(parts: Parts, *, matching: str = "", limit: int | None = None) -> list[Deed]:
    """Return the changes of a store, and the tries that were denied, by time; see `Catalog.audit`."""
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit} is no number of changes", todo="pass 1 or more, or None for all")
    words = matching.lower().split()
    commits = [
        Deed(each.committed_at_us, each.writer, each.kind, each.id, note=each.reason)
        for each in parts.log.find("", limit=None if words else limit)
    ]
    erasures = [
        Deed(each.started_at_us, each.writer, "forget", f"entity {each.entity}", note=each.reason)
        for each in parts.erasures.all()
    ]
    known = (each for each in (*commits, *erasures) if each.holds(words))
    found = sorted((*known, *parts.deeds.find(matching, limit=limit)), key=lambda each: each.at_us)
    return found if limit is None else found[-limit:]
