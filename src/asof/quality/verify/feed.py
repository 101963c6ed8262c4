"""History, fed into an online store in memory as its rows became visible, under a clock that moves."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.order import key_codes
from asof.arrow.types import TIMESTAMP
from asof.engine.port import EVENT_COLUMN, FOUND, NO_TIME, RETIRED, STATUS_COLUMN, TIME_COLUMN, Rows
from asof.ingest.feed import encode_online
from asof.ingest.grow import Found, Grower
from asof.online.port import Applied, Change
from asof.parts import Parts
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN
from asof.registry.registered import RegisteredGroup
from asof.windows.nodes import Order


def feed_of(parts: Parts, group: RegisteredGroup, rows: Rows) -> "Feed":
    """Return the feed of a group."""
    return Feed(parts, group, rows) if group.source is None else MadeFeed(parts, group, rows)


class Feed:
    """The rows of one group in the order in which they became visible, put as the clock moves."""

    def __init__(self, parts: Parts, group: RegisteredGroup, rows: Rows) -> None:
        self.parts = parts
        self.group = group
        self.rows = rows
        table = parts.engine.stamped(rows).read_all()
        names = [*rows.keys, *([] if rows.event_time is None else [rows.event_time]), *group.stored.layout]
        time = rows.event_time
        events = np.zeros(table.num_rows, np.int64) if time is None else _us(table.column(time))
        commits = table.column(COMMIT_COLUMN).to_numpy()
        arrivals = _us(pc.fill_null(table.column(AVAILABLE_COLUMN).cast(pa.int64()), NO_TIME))
        never = [commit for commit, since in rows.retracted.items() if since is None]
        visible = arrivals if time is None else np.maximum(events, arrivals)
        order = np.flatnonzero(~np.isin(commits, never))
        # By visibility, then version: the order in which a store that was there would have put them.
        order = order[np.lexsort((commits[order], events[order], visible[order]))]
        self.visible = visible[order]
        self.events = events[order]
        self.table = (
            table.select(names)
            .append_column(EVENT_COLUMN, pa.array(events))
            .append_column(COMMIT_COLUMN, table.column(COMMIT_COLUMN))
            .append_column(RETIRED_COLUMN, table.column(RETIRED_COLUMN))
            .take(order)
        )
        self.keys = self.table.select(list(rows.keys))
        self.total = self.table.num_rows
        self.hidden = sorted((since, commit) for commit, since in rows.retracted.items() if since is not None)
        self.fed = 0
        self.step = 0

    def advance(self, fresh: Parts, t_us: int) -> None:
        """Put what became visible up to T, and take back what was hidden by then, each at its moment."""
        while self.hidden and self.hidden[0][0] <= t_us:
            since, commit = self.hidden.pop(0)
            self._put(fresh, since - 1)
            self._retract(fresh, commit, since)
        self._put(fresh, t_us)

    def _put(self, fresh: Parts, t_us: int) -> None:
        until = int(np.searchsorted(self.visible, t_us, side="right"))
        while self.fed < until:
            part = self.table.slice(self.fed, until - self.fed)
            codes = key_codes(part, self.rows.keys)
            order = np.lexsort((part.column(COMMIT_COLUMN).to_numpy(), part.column(EVENT_COLUMN).to_numpy(), codes))
            last = np.append(codes[order][1:] != codes[order][:-1], True)
            keys, rows = encode_online(part.take(order[last]), self.group)
            self._change(fresh, keys, rows)
            self.fed = until

    def _retract(self, fresh: Parts, commit: int, since: int) -> None:
        mine = pc.equal(self.table.column(COMMIT_COLUMN), commit)
        keys = self.table.select(list(self.rows.keys)).filter(mine)
        if not keys.num_rows:
            return
        spine = keys.append_column(TIME_COLUMN, pa.repeat(pa.scalar(since), keys.num_rows).cast(TIMESTAMP))
        found = self.parts.engine.look_up(spine, self.rows, columns=self.group.layout, known="served", ttl_us=None)
        status = found.column(STATUS_COLUMN).to_numpy()
        rows = (
            keys.append_column(EVENT_COLUMN, pc.fill_null(found.column(EVENT_COLUMN), 0))
            .append_column(COMMIT_COLUMN, pc.fill_null(found.column(COMMIT_COLUMN), 0))
            .append_column(RETIRED_COLUMN, pa.array(status == RETIRED))
        )
        for name in self.group.layout:
            rows = rows.append_column(name, found.column(name))
        if self.rows.event_time is None:
            rows = rows.set_column(
                rows.schema.get_field_index(EVENT_COLUMN),
                EVENT_COLUMN,
                pa.array(np.zeros(keys.num_rows, np.int64)),
            )
        kept = (status == FOUND) | (status == RETIRED)
        every = dict.fromkeys(encode_online(rows, self.group)[0])
        here = dict(zip(*encode_online(rows.filter(pa.array(kept)), self.group), strict=True))
        self._change(fresh, list(every), [here.get(key) for key in every], replace=True)

    def _change(
        self,
        fresh: Parts,
        keys: list[bytes],
        rows: list[bytes] | list[bytes | None],
        *,
        replace: bool = False,
    ) -> None:
        self.step += 1
        fresh.online.apply([Change(self.group.id, self.step - 1, self.step, NO_TIME, keys, rows, replace=replace)])


class MadeFeed(Feed):
    """The events of a group that is made of them."""

    def __init__(self, parts: Parts, group: RegisteredGroup, rows: Rows) -> None:
        super().__init__(parts, group, rows)
        named = self.table.select(list(group.definition.source_columns))
        self.keys = named.rename_columns(list(group.definition.keys)).drop_null()
        self._shown: dict[Order, dict[int, Found]] = {}

    def _put(self, fresh: Parts, t_us: int) -> None:
        until = int(np.searchsorted(self.visible, t_us, side="right"))
        part = self.table.slice(self.fed, until - self.fed)
        self.fed = max(until, self.fed)
        if part.num_rows:
            grower = Grower(fresh, self.group)
            self._show(
                grower, {n: grower.found(_of(part, n), ()) for n in part.column(COMMIT_COLUMN).unique().to_pylist()}
            )

    def _retract(self, fresh: Parts, commit: int, since: int) -> None:
        del since
        self._show(Grower(fresh, self.group), {commit: None})

    def _show(self, grower: Grower, shown: Mapping[int, Mapping[Order, Found] | None]) -> None:
        """Show rows of commits, or hide those of a commit."""
        hidden = {n for n, found in shown.items() if found is None}
        gone = [order for order, rows in self._shown.items() if hidden & rows.keys()] if hidden else []
        orders = dict.fromkeys([*gone, *(order for found in shown.values() for order in found or ())])
        before = {order: self._newest(order) for order in orders}
        for number, found in shown.items():
            for order in gone if found is None else ():
                self._shown[order].pop(number, None)
            for order, each in (found or {}).items():
                self._shown.setdefault(order, {})[number] = each
        self.step += 1
        now = {order: self._newest(order) or Found(each and each.entity, None) for order, each in before.items()}
        held = {order: each for order, each in before.items() if each is not None}
        grower.put(Applied(self.step - 1), Applied(self.step, NO_TIME), now, held)

    def _newest(self, order: Order) -> Found | None:
        rows = self._shown.get(order)
        return rows[max(rows)] if rows else None


def _of(table: pa.Table, commit: int) -> pa.Table:
    return table.filter(pc.equal(table.column(COMMIT_COLUMN), commit))


def _us(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.int64()).to_numpy()
