"""The remote store: the words of `Store`, each one call of a server."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import msgspec
import pyarrow as pa

from asof.arrow.frames import Frame, to_table
from asof.arrow.order import OnConflict
from asof.catalog.python_file import Definition, definitions_of
from asof.client import training_sets
from asof.client.address import Address
from asof.client.catalog import RemoteCatalog, RemoteQuality
from asof.client.direct import Direct
from asof.client.frames import historical, neighbours, scanned, stored
from asof.client.link import Link
from asof.client.models import RemoteModels
from asof.client.reading import OnlineClient
from asof.client.retries import key_of
from asof.client.together import RemoteTogether
from asof.client.training_sets import KeptThere
from asof.definitions import Label
from asof.definitions.splits import Split
from asof.erasure import Certificate
from asof.errors import UnsupportedError, UsageError
from asof.forks import opened
from asof.ingest.prepare import Absent
from asof.ingest.reading import reading
from asof.ingest.upkeep import Compaction
from asof.ingest.write import Together
from asof.parts import Pins
from asof.progress import Progress, Wanted, showing
from asof.quality.verify import Verification
from asof.records import Commit
from asof.registry.plan import Plan
from asof.serving.named import Named, Names
from asof.serving.nearest.answer import Neighbours
from asof.serving.nearest.asking import listed
from asof.serving.nearest.distance import Metric
from asof.serving.nearest.where import Conditions, sendable
from asof.serving.online import Vector, Vectors
from asof.serving.receipt import Receipt, Requests
from asof.serving.replay import Replayed
from asof.store import Store
from asof.training.frame import HistoricalFrame
from asof.training.sets.asking import Asked
from asof.training.sets.training_set import TrainingSet
from asof.training.sets.verb import to_make
from asof.wire import requests
from asof.wire.definitions import declared
from asof.wire.tables import outgoing, to_bytes
from asof.wire.values import record


class RemoteStore(Store):
    """A store that a server holds; open one with `asof.open("asof://host:port")`. Safe to use from several threads.

    It answers as a store in a folder does, with the same errors; it raises TransientError besides where the server does
    not answer.

    Args:
        address: Where the server is.
    """

    def __init__(self, address: Address) -> None:
        """Keep the address; connections are made when they are needed."""
        self._url = address.url
        self._link = Link(address)
        self._online_client = OnlineClient(self._link)
        self._direct = Direct(self._link)
        self.catalog = RemoteCatalog(self._link, self._defined_anew, self.read)
        self._named = Named(self.catalog.groups, self.catalog.views)
        self.quality = RemoteQuality(self._link)
        self.models = RemoteModels(self._link, self)
        self._closed = False
        opened.add(self)

    def reach(self) -> None:
        """Look whether the server is there, and speaks our protocol.

        Raises:
            UnsupportedError: It speaks another version. TransientError: It does not answer.
        """
        self._link.served()

    def plan(self, *definitions: Definition | str | Path) -> Plan:
        """See `Store.plan`."""
        asked = requests.Definitions(definitions=list(map(declared, definitions_of(definitions))))
        return record(Plan, self._link.act("plan", asked))

    def apply(self, *definitions: Definition | str | Path) -> Plan:
        """See `Store.apply`; Python files are run here, and what they define is sent."""
        asked = requests.Definitions(definitions=list(map(declared, definitions_of(definitions))))
        plan = record(Plan, self._link.act("apply", asked, again=False, long=True))
        self._defined_anew()
        return plan

    def write(  # noqa: PLR0913 - pinned
        self,
        group: str,
        frame: Frame,
        *,
        keys: Sequence[str] | None = None,
        event_time: str | None = None,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
        truncate: bool = False,
        absent: Absent = "keep",
        progress: Progress | bool = False,
    ) -> Commit:
        """See `Store.write`; paths are those of files on this machine."""
        asked = requests.Write(
            group=group, keys=keys, event_time=event_time, meta=meta, idempotency_key=idempotency_key,
            on_conflict=on_conflict, truncate=truncate, absent=absent,
        )  # fmt: skip
        return self._put("write", asked, frame, progress)

    def backfill(  # noqa: PLR0913 - pinned
        self,
        group: str,
        frame: Frame,
        *,
        available_at: str | None = None,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
        truncate: bool = False,
        absent: Absent = "keep",
        progress: Progress | bool = False,
    ) -> Commit:
        """See `Store.backfill`."""
        asked = requests.Write(
            group=group, available_at=available_at, meta=meta, idempotency_key=idempotency_key,
            on_conflict=on_conflict, truncate=truncate, absent=absent,
        )  # fmt: skip
        return self._put("backfill", asked, frame, progress)

    def push(
        self,
        group: str,
        records: Mapping[str, object] | Sequence[Mapping[str, object]],
        *,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
    ) -> Commit:
        """See `Store.push`."""
        asked = requests.Push(
            group=group,
            records=[records] if isinstance(records, Mapping) else records,
            meta=meta,
            idempotency_key=key_of(idempotency_key),
            on_conflict=on_conflict,
        )
        return record(Commit, self._link.act("push", asked))

    def materialize(
        self,
        group: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        full: bool = False,
        backfill: bool = False,
        progress: Progress | bool = False,
    ) -> list[Commit]:
        """See `Store.materialize`; the server runs the code that it has, and reads its own files."""
        asked = requests.Materialize(group=group, start=start, end=end, full=full, backfill=backfill)
        again = not (full or start or end)  # what is new is made once
        with showing(f"materializing {group}", progress=progress) as advance:  # rows or bytes: the server knows
            found = self._link.act("materialize", asked, again=again, advance=advance, long=True)
        return record(list[Commit], found)

    def together(self) -> Together:
        """See `Store.together`; what is added waits on the server."""
        return RemoteTogether(self._link)

    def retire(
        self,
        group: str,
        keys: Frame,
        *,
        event_time: datetime | None = None,
        meta: dict[str, str] | None = None,
    ) -> Commit:
        """See `Store.retire`."""
        asked = requests.Retire(group=group, keys=_keys(keys, f"group {group}"), event_time=event_time, meta=meta)
        return record(Commit, self._link.act("retire", asked, again=False))

    def retract(self, commit: str | Commit, *, reason: str) -> Commit:
        """See `Store.retract`."""
        named = commit.id if isinstance(commit, Commit) else commit
        asked = requests.Retract(commit=named, reason=reason)
        return record(Commit, self._link.act("retract", asked, again=False))

    def forget(
        self,
        entity: str,
        keys: Frame,
        *,
        reason: str = "",
        dry_run: bool = False,
        progress: Progress | bool = False,
    ) -> Certificate:
        """See `Store.forget`; copies of the files that were written anew are deleted on this machine too."""
        asked = requests.Forget(entity=entity, keys=_keys(keys, f"entity {entity}"), reason=reason, dry_run=dry_run)
        with showing(f"forgetting {entity}", progress=progress) as advance:
            told = self._link.act("forget", asked, again=dry_run, advance=advance, long=True)
        certificate = record(Certificate, told)
        self._direct.forget(certificate)
        return certificate

    def historical(  # noqa: PLR0913 - pinned
        self,
        view: Names,
        spine: Frame,
        *,
        time: str | datetime | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        statuses: bool = False,
        full_names: bool = False,
        timezone: str | None = None,
        truncate: bool = False,
        explain: bool = False,
        batch_rows: int | None = None,
        progress: Progress | bool = False,
    ) -> HistoricalFrame:
        """See `Store.historical`."""
        asked = requests.Historical(
            view=self._named(view), time=time, known=known, commits=commits, statuses=statuses, full_names=full_names,
            timezone=timezone, truncate=truncate, explain=explain,
        )  # fmt: skip
        return historical(self._link, asked, spine, batch_rows=batch_rows, progress=progress)

    def training_set(  # noqa: PLR0913 - pinned
        self,
        name: str,
        view: str | None = None,
        spine: Frame | None = None,
        *,
        time: str | datetime | None = None,
        split: Split | None = None,
        label: str | Label | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        timezone: str | None = None,
        truncate: bool = False,
        batch_rows: int | None = None,
        code_commit: str | None = None,
        progress: Progress | bool = False,
    ) -> TrainingSet:
        """See `Store.training_set`; paths are those of files on this machine."""
        makes = KeptThere(self._link, self.read)
        if not to_make(view, spine):
            return TrainingSet(training_sets.opened(self._link, name), makes)
        asked = Asked(
            name, str(view), spine, time, split, label, known, commits, timezone, truncate, batch_rows, code_commit,
        )  # fmt: skip
        return TrainingSet(training_sets.made(self._link, self.catalog, asked, progress=progress), makes)

    def read(  # noqa: PLR0913 - pinned
        self,
        group: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        latest: bool = False,
        clocks: bool = False,
        batch_rows: int | None = None,
    ) -> HistoricalFrame:
        """See `Store.read`."""
        asked = requests.Read(
            group=group, start=start, end=end, columns=columns, known=known, commits=commits, latest=latest,
            clocks=clocks,
        )  # fmt: skip
        if batch_rows is not None:
            return scanned(self._link, self._direct, asked, batch_rows)
        return stored(self._link, self._direct, asked)

    @overload
    def online(self, view: Names, keys: Mapping[str, Any], *, request: Mapping[str, Any] | None = None) -> Vector: ...
    @overload
    def online(self, view: Names, keys: Sequence[Mapping[str, Any]], *, request: Requests = None) -> Vectors: ...
    def online(
        self, view: Names, keys: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, request: Requests = None
    ) -> Vector | Vectors:
        """See `Store.online`."""
        return self._online_client.read(self._named(view), keys, request)

    get_features = Store.get_features  # by `online` and `historical` of this store

    def nearest(  # noqa: PLR0913 - as `Store.nearest`
        self,
        group: str,
        feature: str,
        vector: object,
        k: int = 10,
        *,
        metric: Metric = "cosine",
        where: Conditions | Sequence[Conditions] | None = None,
        columns: Sequence[str] | None = None,
        exact: bool = True,
    ) -> Neighbours:
        """See `Store.nearest`."""
        asked = requests.Nearest(
            group=group, feature=feature, vector=listed(vector), k=k, metric=metric, where=sendable(where),
            columns=columns, exact=exact,
        )  # fmt: skip
        return neighbours(self._link.act("nearest", asked, long=True))

    def waits(self, view: str) -> bool:
        """See `Store.waits`: always."""
        del view
        return True

    def replay(self, receipt: Receipt | Mapping[str, Any]) -> Replayed:
        """See `Store.replay`."""
        known = receipt if isinstance(receipt, Receipt) else Receipt.from_dict(receipt)
        found = record(_Replayed, self._link.act("replay", requests.Replay(receipt=known.to_dict())))
        return Replayed(found.values, found.statuses, found.event_times, known)

    def verify(
        self,
        view: str,
        *,
        instants: int = 40,
        keys: int = 50,
        logged: int = 500,
        progress: Progress | bool = False,
    ) -> Verification:
        """See `Store.verify`."""
        asked = requests.Verify(view=view, instants=instants, keys=keys, logged=logged)
        with showing(f"verifying {view}", progress=progress) as advance:
            return record(Verification, self._link.act("verify", asked, advance=advance, long=True))

    def compact(self, group: str | None = None, *, progress: Progress | bool = False) -> list[Compaction]:
        """See `Store.compact`."""
        with showing("compacting", progress=progress, unit="rows") as advance:
            found = self._link.act("compact", requests.Compact(group=group), advance=advance, long=True)
        return record(list[Compaction], found)

    def close(self) -> None:
        """Hang up; the server goes on. Closing twice is harmless."""
        self._link.close()
        self._direct.close()
        self._closed = True
        vars(self).pop("catalog", None)
        vars(self).pop("quality", None)
        vars(self).pop("models", None)

    def __repr__(self) -> str:
        """Return the server's address."""
        return f"<asof.Store {self._url!r}>"

    if not TYPE_CHECKING:  # as in `Store`

        def __getattr__(self, name: str) -> object:
            """Say that a closed store is closed."""
            if name == "keys":
                todo = "make, list and revoke them where the store can be opened itself: `asof keys`"
                raise UnsupportedError("keys are not managed over the network", where=self._url, todo=todo)
            if name not in ("catalog", "models", "quality") or "_link" not in vars(self):
                raise AttributeError(name)
            raise UsageError(f"the store {self._url!r} is closed", todo="open it again with asof.open")

    def _defined_anew(self) -> None:
        self._online_client.forget()
        self._named.forget()

    def _put(self, verb: str, asked: requests.Write, frame: Frame, progress: Wanted) -> Commit:
        """Send rows, and again if an answer is lost, unless the frame can be read only once."""
        group = str(asked.group)
        asked = msgspec.structs.replace(asked, idempotency_key=key_of(asked.idempotency_key), ends=True)
        with reading(group, frame, progress=progress) as (rows, stored):
            again = rows is frame and not isinstance(frame, pa.RecordBatchReader) and not hasattr(frame, "__next__")
            schema, first = outgoing(rows, where=f"group {group.partition('@')[0]}")
            fresh: list[Iterator[pa.RecordBatch]] = [first]

            def batches() -> Iterator[pa.RecordBatch]:
                return fresh.pop() if fresh else outgoing(frame, where=f"group {group}")[1]

            return stored(record(Commit, self._link.put(verb, asked, schema, batches, again=again)))

    def _let_go(self) -> dict[str, object]:
        """Drop the connections in a forked child; the next use makes new ones."""
        return {**self._link.let_go(), **self._direct.let_go()}


class _Replayed(msgspec.Struct):
    values: dict[str, Any]
    statuses: dict[str, Any]
    event_times: dict[str, datetime | None]


def _keys(frame: Frame, where: str) -> bytes:
    """Return keys, a dict of one or a frame, as a message."""
    one: object = frame
    return to_bytes(to_table([frame] if isinstance(one, Mapping) else frame, where=where)[0])
