"""Forget keys: one erasure from beginning to certificate. Source: SEMANTICS section 8.

It is remembered before the first row goes, so that a crash does not forget it: the next open finishes it.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa

from asof.arrow.frames import Frame
from asof.arrow.keys import encode_keys
from asof.erasure.certificate import Certificate, Erased
from asof.erasure.places import Place, RegistryPlace, places
from asof.erasure.target import Holding, Target
from asof.errors import BackendError, NotFoundError, warn
from asof.ingest.feed import OnlineFeed
from asof.ingest.upkeep import Upkeep
from asof.parts import Parts
from asof.records import Erasure

Progress = Callable[[int, int], None]


class Eraser:
    """Forgets keys in every place of one store."""

    def __init__(self, parts: Parts, feed: OnlineFeed, upkeep: Upkeep) -> None:
        """Keep the parts."""
        self._parts = parts
        self._places: Sequence[Place] = places(parts, feed, upkeep)

    def count(self, entity: str, keys: Frame, *, reason: str) -> Certificate:
        """Return what an erasure would erase, and change nothing."""
        parts = self._parts
        target = Target.of(parts, entity, keys)
        holdings = list(target.holdings(parts))
        found = [each for place in self._places for each in place.count(holdings)]
        dry = Erasure(0, entity, parts.now_us(), parts.writer, reason)
        return self._certificate(dry, target, found, holdings, finished_at_us=None)

    def forget(self, entity: str, keys: Frame, *, reason: str, progress: Progress | None = None) -> Certificate:
        """Erase keys; see `Store.forget`."""
        parts = self._parts
        target = Target.of(parts, entity, keys)
        # As the T of an online answer: never before what was committed, wherever the clock stands.
        now_us = max([parts.now_us(), *(head.committed_at_us for head in parts.log.heads().values())])
        packed = _packed(target.keys)
        begun = parts.erasures.begin(entity, packed, reason=reason, writer=parts.writer, now_us=now_us)
        return self._finish(begun, target, progress)

    def resume(self) -> list[Certificate]:
        """Finish the erasures that a crash broke off; what cannot be done now is told, and done at a later open."""
        found: list[Certificate] = []
        for begun in self._parts.erasures.all():
            if begun.pending is not None:
                try:
                    target = Target.of(self._parts, begun.entity, _unpacked(begun.pending))
                    found.append(self._finish(begun, target, None))
                except (BackendError, NotFoundError) as error:
                    warn(f"erasure {begun.id} of {begun.entity} is not finished: {error}")
        return found

    def _finish(self, begun: Erasure, target: Target, progress: Progress | None) -> Certificate:
        parts = self._parts
        holdings = list(target.holdings(parts))
        found: list[Erased] = []
        registry = [place for place in self._places if isinstance(place, RegistryPlace)]
        first = [place for place in self._places if place not in registry]
        for done, place in enumerate(first):
            if progress is not None:
                progress(done, len(self._places))
            found += place.erase(holdings)
        certificate = self._certificate(begun, target, found, holdings, finished_at_us=parts.now_us())
        parts.erasures.finish(begun, certificate.to_json(), keys=encode_keys(target.keys))
        for place in registry:  # last: until now it named the keys itself
            place.erase(holdings)
        if progress is not None:
            progress(len(self._places), len(self._places))
        return certificate

    def _certificate(
        self,
        erasure: Erasure,
        target: Target,
        found: Sequence[Erased],
        holdings: Sequence[Holding],
        *,
        finished_at_us: int | None,
    ) -> Certificate:
        return Certificate(
            id=erasure.id,
            entity=erasure.entity,
            keys=target.keys.num_rows,
            reason=erasure.reason,
            writer=erasure.writer,
            started_at_us=erasure.started_at_us,
            finished_at_us=finished_at_us,
            erased=tuple(found),
            places=tuple(place.name for place in self._places),
            notes=tuple(_notes(self._parts, target, holdings)),
        )


def certificates(parts: Parts) -> list[Certificate]:
    """Return the certificates of all finished erasures, the oldest first."""
    return [Certificate.from_json(each.certificate) for each in parts.erasures.all() if each.certificate]


def _notes(parts: Parts, target: Target, holdings: Sequence[Holding]) -> list[str]:
    """Return what an erasure by key cannot reach."""
    held = {holding.group.id for holding in holdings}
    names = set(target.entity.keys)
    alike = [
        f"{group.ref} ({', '.join(sorted(names & set(group.definition.columns)))})"
        for group in parts.registry.groups()
        if group.id not in held and names & set(group.definition.columns)
    ]
    tags = [tag.name for tag in parts.tags.all() if any(holding.group.ref in tag.pins for holding in holdings)]
    notes = [f"reads at these tags do not see them any more: {', '.join(tags)}"] if tags else []
    notes += [f"groups of other entities have columns of the same name: {'; '.join(alike)}"] if alike else []
    return [*notes, "backups, copies and the memory of processes that still run are not reached: look after them"]


def _packed(keys: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, keys.schema) as writer:
        writer.write_table(keys)
    return sink.getvalue().to_pybytes()


def _unpacked(packed: bytes) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()
