"""Forget keys: one erasure from beginning to certificate. Source: SEMANTICS section 8.

It is remembered before the first row goes, so that a crash does not forget it: the next open finishes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from asof.arrow.frames import Frame
from asof.arrow.keys import encode_keys
from asof.definitions import FeatureGroup
from asof.definitions.names import checked_text
from asof.definitions.serving_log import CLOCK, is_log
from asof.erasure.certificate import Certificate, Erased
from asof.erasure.places import PLACES, Place
from asof.erasure.target import Holding, Target, keys_in_log
from asof.erasure.training_sets import holding, mark, models_of, named
from asof.errors import AsofError, BackendError, warn
from asof.file_locks import turn
from asof.ingest.write import Writer
from asof.parts import Parts
from asof.parts.open import FILE
from asof.progress import Progress, unheard
from asof.records import Erasure


class Eraser:
    """Forgets keys in every place of one store.

    Args:
        parts: The store's parts.
        writer: Feeds the online store, and keeps files in order.
        flush: Writes the answers that wait to be logged.
        drop: Drops rows that this process holds in memory.
    """

    def __init__(self, parts: Parts, writer: Writer, *, flush: Callable[[], None], drop: Callable[[], None]) -> None:
        """Keep the parts."""
        self._parts = parts
        self._flush = flush
        self._drop = drop
        self._places: Sequence[Place] = [place(parts, writer.feed, writer.upkeep) for place in PLACES]

    def count(self, entity: str, keys: Frame, *, reason: str) -> Certificate:
        """Return what an erasure would erase, and change nothing."""
        parts = self._parts
        self._flush()
        checked_text(reason, "reason")
        target = Target.of(parts, entity, keys)
        holdings = [*target.holdings(parts), *target.answers(parts)]
        found = [each for place in self._places for each in place.count(holdings)]
        dry = Erasure(0, entity, parts.now_us(), parts.writer, reason)
        certificate = self._certificate(dry, target, found, holdings, finished_at_us=None)
        refs = tuple(kept.ref for kept, _ in holding(parts, holdings))
        return replace(certificate, training_sets=refs, models=models_of(parts, refs))

    def forget(self, entity: str, keys: Frame, *, reason: str, progress: Progress = unheard) -> Certificate:
        """Erase keys; see `Store.forget`."""
        checked_text(reason, "reason")
        parts = self._parts
        with turn(parts.root / FILE):
            self._resume()
            target = Target.of(parts, entity, keys)
            target.holdings(parts)  # refuses what cannot be done before it is begun
            packed = _packed(target.keys)
            begun = parts.erasures.begin(entity, packed, reason=reason, writer=parts.writer, now_us=self._clock_us())
            try:
                return self._finish(begun, target, progress)
            except BackendError as error:
                raise type(error)(
                    f"erasure {begun.id} is begun and not finished: {error.what}",
                    where=error.where,
                    todo=f"the next open of the store finishes it, or forget called again; {error.todo}",
                ) from error

    def resume(self) -> None:
        """Finish the erasures that a crash broke off; what cannot be done now is told, and done at a later open."""
        if all(begun.pending is None for begun in self._parts.erasures.all()):
            return
        with turn(self._parts.root / FILE, wait=False) as alone:
            if alone:  # else another process is at it
                self._resume()

    def _resume(self) -> None:
        for begun in self._parts.erasures.all():
            try:
                if begun.pending:
                    self._finish(
                        begun, Target.of(self._parts, begun.entity, _unpacked(begun.pending)), unheard, again=True
                    )
                elif begun.pending is not None:
                    self._scrub(begun)
            except AsofError as error:  # an old erasure must not keep anybody from opening the store
                warn(f"erasure {begun.id} of {begun.entity} is not finished: {error}")

    def _finish(self, begun: Erasure, target: Target, advance: Progress, *, again: bool = False) -> Certificate:
        parts = self._parts
        *first, _ = self._places
        holdings = target.holdings(parts)
        found: list[Erased] = []
        for done, place in enumerate(first):
            advance(done, 2 * len(first))
            found += place.erase(holdings)
        self._drop()  # after the places: what is held from now on is made of what they have left
        self._flush()  # answers that were given meanwhile
        answers = target.answers(parts)
        mark(parts, begun.id, answers)
        for done, place in enumerate(first):
            advance(len(first) + done, 2 * len(first))
            found += place.erase(answers)
        certificate = self._certificate(begun, target, found, holdings + answers, finished_at_us=self._clock_us())
        refs = named(parts, begun.id)
        certificate = replace(certificate, training_sets=refs, models=models_of(parts, refs))
        if again:
            note = "it was broken off before: what had been erased by then is not counted here"
            certificate = replace(certificate, notes=(note, *certificate.notes))
        parts.erasures.finish(begun, certificate.to_json(), keys=encode_keys(target.keys))
        self._scrub(begun)
        advance(2 * len(first), 2 * len(first))
        return certificate

    def _scrub(self, begun: Erasure) -> None:
        """Clean the registry last: until now it named the keys itself."""
        self._places[-1].erase(())
        self._parts.erasures.close(begun)

    def _clock_us(self) -> int:
        """Return the T of an online answer: never before what was committed, wherever the clock stands."""
        heads = self._parts.log.heads().values()
        return max([self._parts.now_us(), *(head.committed_at_us for head in heads)])

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


def without_erased(parts: Parts, log: FeatureGroup, answers: pa.Table) -> pa.Table:
    """Return rows for a serving log without the answers about keys that were erased since they were given.

    Another process may erase them while ours still holds its answers.
    """
    times = answers.column(CLOCK).cast(pa.int64()).to_numpy()
    recent = [erasure for erasure in parts.erasures.all() if len(times) and _until_us(erasure) >= times.min()]
    gone = np.zeros(len(times), dtype=bool)
    entities = {group.definition.entity.name: group.definition.entity for group in parts.registry.groups() if recent}
    for erasure in recent:
        if erasure.pending:
            gone |= Target.of(parts, erasure.entity, _unpacked(erasure.pending)).about(log, answers)
    for entity in {erasure.entity for erasure in recent} & entities.keys():
        for at, keys in enumerate(keys_in_log(entities[entity], log, answers)):
            found = [parts.erasures.of(entity, key) for key in keys]
            gone[at] |= any(erasure is not None and times[at] <= _until_us(erasure) for erasure in found)
    return answers.filter(pa.array(~gone)) if gone.any() else answers


def being_erased(parts: Parts, entity: str, key: bytes) -> Erasure | None:
    """Return the erasure of an encoded key that is begun and not finished."""
    for erasure in parts.erasures.all():
        if erasure.entity == entity and erasure.pending and key in encode_keys(_unpacked(erasure.pending)):
            return erasure
    return None


def _until_us(erasure: Erasure) -> int:
    """Return the T up to which answers may hold what an erasure erased."""
    done = Certificate.from_json(erasure.certificate) if erasure.certificate else None
    return 1 << 62 if done is None or done.finished_at_us is None else done.finished_at_us


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
        if group.id not in held and names & set(group.definition.columns) and group.definition.external is None
    ]
    outside = [
        f"{group.ref} ({group.definition.external})"
        for group in parts.registry.groups()
        if group.definition.external is not None and names & set(group.definition.columns)
    ]
    outside += [
        f"{group.ref} ({group.definition.taken_from})"
        for group in parts.registry.groups()
        if group.definition.taken_from is not None and names & set(group.definition.columns)
    ]
    tags = [tag.name for tag in parts.tags.all() if any(holding.group.ref in tag.pins for holding in holdings)]
    notes = [f"reads at these tags do not see them any more: {', '.join(tags)}"] if tags else []
    notes += [f"groups of other entities have columns of the same name: {'; '.join(alike)}"] if alike else []
    made = [
        f"{group.ref} (of {group.source.ref})"
        for group in parts.registry.made()
        if group.source is not None and group.definition.entity.name == target.entity.name
    ]
    notes += [f"groups are made of events, forget those: {'; '.join(made)}"] if made else []
    notes += [f"rows outside of the store are not reached, erase them there: {'; '.join(outside)}"] if outside else []
    if any(is_log(holding.group.definition) for holding in holdings):
        notes.append(
            "answers that other processes gave and have not logged yet are not reached: erase again in a minute"
        )
    if parts.history.remote:
        notes.append(
            "versions that the bucket keeps of deleted objects stay, and copies in the file caches of other machines "
            "until those open the store"
        )
    return [
        *notes,
        "what was written into meta, reasons and idempotency keys of commits stays",
        "backups, copies and the memory of processes that still run are not reached: look after them",
    ]


def _packed(keys: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, keys.schema) as writer:
        writer.write_table(keys)
    return sink.getvalue().to_pybytes()


def _unpacked(packed: bytes) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()
