"""The three deletes of a store: a key ends, a commit is hidden, a key is erased."""

from datetime import datetime

from asof.arrow.frames import Frame
from asof.erasure.certificate import Certificate
from asof.erasure.eraser import Eraser
from asof.ingest.prepare import Options
from asof.ingest.write import Writer
from asof.progress import Progress, showing
from asof.records import Commit


class DeletesOf:
    """The verbs of a store."""

    _writer: Writer
    _eraser: Eraser

    def retire(
        self,
        group: str,
        keys: Frame,
        *,
        event_time: datetime | None = None,
        meta: dict[str, str] | None = None,
    ) -> Commit:
        """Store that keys ended: reads after that time say RETIRED; history stays.

        Args:
            group: Name of the group.
            keys: A dict of one key, or a frame of key columns.
            event_time: When they ended; none for a static group.
            meta: Kept with the commit.

        Raises:
            As `write`.
        """
        return self._writer.retire(group, keys, event_time, Options(meta=meta))

    def retract(self, commit: str | Commit, *, reason: str) -> Commit:
        """Hide the rows of a commit: a correction, itself a commit.

        Args:
            commit: A commit, or its name ("weather:17").
            reason: Why; kept.

        Raises:
            NotFoundError: No such commit. UsageError: It is a retract, or retracted already.
        """
        return self._writer.retract(commit, reason)

    def forget(
        self,
        entity: str,
        keys: Frame,
        *,
        reason: str = "",
        dry_run: bool = False,
        progress: Progress | bool = False,
    ) -> Certificate:
        """Erase keys of an entity for ever: from history, journal, online store and serving logs, byte by byte.

        Answers for all other keys stay as they are, bit for bit. Pinned reads, tags and receipts change: what they saw
        of these keys is MISSING, and `replay` says that it was erased. What a crash breaks off, the next open finishes.

        Args:
            entity: Name of the entity.
            keys: A dict of one key, or a frame of the entity's key columns.
            reason: Why; kept in the certificate.
            dry_run: Only count.
            progress: True for a bar, or a callable that is told (done, total) of the places.

        Returns:
            What was erased where, with the hashes of the files before and after. It holds no key.

        Raises:
            NotFoundError: No group has this entity. DataError: A key does not fit it.
            TransientError: A reader holds old bytes of the online store or the registry; erase again.

        Source: SEMANTICS section 8.
        """
        if dry_run:
            return self._eraser.count(entity, keys, reason=reason)
        with showing(f"forgetting {entity}", progress=progress) as advance:
            return self._eraser.forget(entity, keys, reason=reason, progress=advance)
