"""Several groups written as one, over the wire."""

from contextlib import suppress
from typing import Self

from asof.arrow.frames import Frame
from asof.arrow.order import OnConflict
from asof.client.link import Link
from asof.client.retries import key_of
from asof.errors import AsofError, UsageError
from asof.ingest.write import Together
from asof.records import OWN_KEY, Commit
from asof.wire.requests import Together as Named
from asof.wire.requests import Write
from asof.wire.tables import outgoing
from asof.wire.values import record


class RemoteTogether(Together):
    """Several groups written as one; see `Together`. What is added is checked, and kept, by the server."""

    def __init__(self, link: Link) -> None:
        """Start empty."""
        self._link = link
        self._number = ""
        self._keys: list[str] = []
        self._open = False
        self.commits: list[Commit] = []

    def write(
        self,
        group: str,
        frame: Frame,
        *,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
    ) -> None:
        """See `Together.write`."""
        if not self._open:
            raise UsageError(
                "this is outside of its block, so nothing would be stored",
                todo="write inside: with store.together() as tx: tx.write(...)",
            )
        key = key_of(idempotency_key)
        asked = Write(
            group=group, meta=meta, idempotency_key=key, on_conflict=on_conflict, ends=True, together=self._number
        )
        schema, batches = outgoing(frame, where=f"group {str(group).partition('@')[0]}")
        self._number = self._link.put("together.write", asked, schema, lambda: batches, again=False)
        self._keys.append(key)

    def __enter__(self) -> Self:
        """Begin."""
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Publish what was added, as one; unless the block raised."""
        self._open = False
        if not self._number:
            return
        own = all(str(key).startswith(OWN_KEY) for key in self._keys)
        asked = Named(together=self._number, keys=self._keys if own else [])
        if kind is None:
            self.commits = record(list[Commit], self._link.act("together.commit", asked, long=True))
            return
        with suppress(AsofError):  # the server forgets it in time; what the block raised is what matters
            self._link.act("together.leave", asked, again=False)
