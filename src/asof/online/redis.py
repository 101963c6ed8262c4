"""The newest values in Redis: a hash a group, and beside them how far each group is applied.

All keys of a store lie in one slot of a cluster, so that a script applies several groups, or reads them, in one atomic
step. Redis may lose its last second, or everything: marks and rows are lost together then, and the commits are applied
again from history.

A script holds up all other calls, so large changes come in pieces: a commit in steps in smaller steps, any other is
staged, put beside its group's rows in one step, and folded into them afterwards.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import TypeVar
from uuid import uuid4

from asof.errors import BackendError, TransientError
from asof.online.port import HEAD_BYTES, Applied, Change, WithoutFiles, pending
from asof.online.redis_link import Answer, Link, Links
from asof.online.redis_scripts import DIGESTS
from asof.online.remote import (
    CheckedSnapshot,
    Marks,
    Memo,
    Requests,
    Steps,
    Until,
    Wanted,
    name_of,
    place_of,
    without_option,
)

T = TypeVar("T")

PIECE_ROWS = 5000
"""Rows that one script call puts: about 10 ms of the server's time."""

PIECE_BYTES = 16 * 1024 * 1024
STAGED_SECONDS = 600
"""After this a staged change whose writer died is gone."""

RACES = 1000
"""Other writers may be first this often in a row."""

SHAPES = 256
"""Shapes of requests whose bytes are kept: a view has one."""

REWRITE_SECONDS = 60.0

_Puts = dict[bytes, bytes]
"""Key to a flag and a row, see `redis_scripts`."""


class RedisOnlineStore(WithoutFiles):
    """The online port over one Redis server.

    Args:
        url: "redis://HOST:PORT/DATABASE", "rediss://" with TLS, "unix://PATH"; with options of the package redis, and
            `prefix`, which names the store's keys (default: made of the path of the store's folder).
        root: The store's folder.

    Raises:
        MissingDependencyError: The package redis is not installed.
        UsageError: The URL makes no sense.
    """

    waits = True

    def __init__(self, url: str, *, root: str = "", repair: bool = False) -> None:
        """Connect when it is first needed."""
        del repair
        url, prefix = without_option(url, "prefix")
        self._where = place_of(url)
        self._links = Links(url, self._where)
        self._keys = f"asof:{{{name_of('prefix', prefix, root)}}}:".encode()
        self._steps = Steps(self._where)
        self._memo = Memo()
        self._shapes: dict[tuple[int, ...], tuple[bytes, int]] = {}

    def snapshot(self, until: Until = None) -> CheckedSnapshot:
        """See `OnlineStore.snapshot`."""
        return CheckedSnapshot(self._read, self._read_many, until)

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        """See `OnlineStore.apply`."""
        marks, fresh = self._memo.last, False
        for _ in range(RACES):
            todo = pending(changes, marks.applied)
            if todo:
                done, marks = self._apply(todo, marks, {change.group_id for change in changes})
                if done:
                    break
            elif fresh or not changes:
                break
            else:
                marks = self._marks()
            fresh = True
        else:
            raise TransientError("other writers kept changing the online store", where=self._where, todo="try again")
        return {change.group_id: marks.applied.get(change.group_id, Applied()) for change in changes}

    def clear(self, group_id: int) -> None:
        """See `OnlineStore.clear`."""
        self._steps.forget(group_id)
        self._run("clear", self._group_keys([group_id]), [_packed(group_id)])

    def erase(self, group_id: int, keys: Sequence[bytes]) -> int:
        """See `OnlineStore.erase`: the server writes its files anew, if it keeps any."""
        group = self._group_keys([group_id])
        count = 0
        for start in range(0, len(keys), PIECE_ROWS):
            count += self._run("erase", group, [_packed(group_id), *keys[start : start + PIECE_ROWS]])
        if keys:
            self._links.call(self._rewrite_files)
        return count

    def count(self, group_id: int) -> int:
        """See `OnlineStore.count`."""
        mark = self._marks().by_group.get(group_id)
        if mark is not None and mark.loading:
            self._fold(group_id)
        return self._links.call(lambda link: link.ask("HLEN", self._keys + b"g%d" % group_id))

    def check(self) -> list[str]:
        """See `OnlineStore.check`: what the server says about its files."""
        info = self._links.call(lambda link: link.info())
        return [
            f"{self._where}: the server could not write its files: {name} is {info[name]}"
            for name in ("rdb_last_bgsave_status", "aof_last_bgrewrite_status", "aof_last_write_status")
            if info.get(name, "ok") != "ok"
        ]

    def close(self) -> None:
        """See `OnlineStore.close`."""
        self._links.close()

    # ---- reading

    def _read(self, requests: Requests, until: Until = None) -> tuple[Marks, list[bytes | None]]:
        groups = tuple([group for group, _ in requests])
        if len(set(groups)) == len(groups):  # the usual case: one key of each group
            head, words = self._shape(groups)
            wanted = [key for _, key in requests]
            body = b"".join([b"$1\r\n1\r\n$%d\r\n%b\r\n" % (len(key), key) for key in wanted])
            raw, *rows = self._links.send(b"*%d\r\n%b%b" % (words + 2 * len(wanted), head, body), until)
            return self._decoded(raw), rows
        by_group: dict[int, list[int]] = {}
        for at, group in enumerate(groups):
            by_group.setdefault(group, []).append(at)
        head, words = self._shape(tuple(by_group))
        parts: list[bytes] = []
        for places in by_group.values():
            parts += [b"%d" % len(places), *[requests[at][1] for at in places]]
        body = b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])
        raw, *found = self._links.send(b"*%d\r\n%b%b" % (words + len(parts), head, body), until)
        ordered: list[bytes | None] = [None] * len(requests)
        for at, row in zip((at for places in by_group.values() for at in places), found, strict=True):
            ordered[at] = row
        return self._decoded(raw), ordered

    def _read_many(self, wanted: Wanted, until: Until = None) -> tuple[Marks, list[list[bytes | None]]]:
        """Read many keys of each group in a transaction: for these a script takes twice as long."""
        some = [(group, keys) for group, keys in wanted if keys]
        bodies: dict[int, bytes] = {}  # look-ups share lists of keys
        parts = [MULTI, _command(b"GET", self._keys + b"applied")]
        for group, keys in some:
            if id(keys) not in bodies:
                bodies[id(keys)] = b"".join([b"$%d\r\n%b\r\n" % (len(key), key) for key in keys])
            head = _words(b"HMGET", self._keys + b"g%d" % group)
            parts.append(b"*%d\r\n%b%b" % (2 + len(keys), head, bodies[id(keys)]))
        packed = b"".join([*parts, EXEC])
        raw, *found = self._links.call(lambda link: link.transaction(packed, 1 + len(some)), until)
        if raw is not None and any(raw[:8]):  # large changes lie beside the rows: the script knows where to look
            marks, rows = self._read([(group, key) for group, keys in wanted for key in keys], until)
            left = iter(rows)
            return marks, [list(islice(left, len(keys))) for _, keys in wanted]
        rest = iter(found)
        return self._decoded(raw or b""), [next(rest) if keys else [] for _, keys in wanted]

    def _shape(self, groups: tuple[int, ...]) -> tuple[bytes, int]:
        """Return the beginning of a read of groups as Redis wants it, and how many words it has."""
        shape = self._shapes.get(groups)
        if shape is None:
            keys = self._group_keys(groups)
            words = [b"EVALSHA", DIGESTS["read"].encode(), b"%d" % len(keys), *keys]
            shape = _words(*words), len(words)
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            self._shapes[groups] = shape
        return shape

    def _marks(self) -> Marks:
        return self._read(())[0]

    def _decoded(self, raw: bytes) -> Marks:
        """Return the marks in the string `applied`."""
        return self._memo.of(raw[8:])

    def _group_keys(self, groups: Iterable[int]) -> list[bytes]:
        names = [self._keys + b"g%d" % group for group in groups]
        return [self._keys + b"applied", *names, *[name + b":load" for name in names]]

    # ---- writing

    def _apply(self, todo: Sequence[Change], marks: Marks, groups: AbstractSet[int]) -> tuple[bool, Marks]:
        """Apply changes, if the marks of groups are what we think they are; return whether, and what they are now."""
        after = marks.after(todo)
        puts: dict[int, _Puts] = {group: {} for group in after}
        for change in todo:
            _add(puts[change.group_id], change)
        size = sum(len(key) + len(row) for each in puts.values() for key, row in each.items())
        if size <= PIECE_BYTES and sum(map(len, puts.values())) <= PIECE_ROWS:
            return self._links.call(partial(self._send, todo, marks, groups, puts))
        first = todo[0]
        before = marks.applied.get(first.group_id, Applied())
        if len(todo) == len(groups) == 1 and (before.applying or not first.final):
            now = self._marks()
            return self._apply_steps(first) if now.raw == marks.raw else (False, now)  # others may have cleared it
        for group in after:
            mark = marks.by_group.get(group)
            if mark is not None and mark.loading:
                self._fold(group)
        staged = {group: self._stage(group, each) for group, each in puts.items() if each}
        done, marks = self._links.call(partial(self._send, todo, marks, groups, staged))
        self._fold_soon(staged)
        return done, marks

    def _apply_steps(self, change: Change) -> tuple[bool, Marks]:
        """Apply a step of a commit that readers see in steps anyway, in smaller ones."""
        pieces = list(_pieces(zip(change.keys, change.rows, strict=True)))
        for at, piece in enumerate(pieces):
            self.apply(
                [
                    Change(
                        change.group_id,
                        change.after,
                        change.commit,
                        change.committed_at_us,
                        [key for key, _ in piece],
                        [row for _, row in piece],
                        replace=change.replace,
                        final=change.final and at == len(pieces) - 1,
                    )
                ]
            )
        return True, self._marks()

    def _send(
        self,
        todo: Sequence[Change],
        marks: Marks,
        groups: AbstractSet[int],
        rows: Mapping[int, _Puts | bytes],
        link: Link,
    ) -> tuple[bool, Marks]:
        """Send changes: their rows, or the keys under which these are staged."""
        self._steps.check(todo, marks, link.server)
        after = marks.after(todo)
        keys = self._group_keys(groups)
        words: list[bytes] = []
        for group in groups:
            known, put = marks.by_group.get(group), rows.get(group, {})
            keys.append(put if isinstance(put, bytes) else keys[0])
            words += [_packed(group), known.pack()[:40] if known else b""]
            words += [after[group].pack()[:32] if group in after else b""]
            words += [
                b"%d" % any(change.replace for change in todo if change.group_id == group),
                b"%d" % isinstance(put, bytes),
            ]
            words += [b"0"] if isinstance(put, bytes) else [b"%d" % len(put), *chain.from_iterable(put.items())]
        done, raw = link.run("apply", keys, words)
        marks = self._decoded(raw)
        if done:
            self._steps.done(todo, marks, link.server)
        return bool(done), marks

    def _stage(self, group: int, puts: _Puts) -> bytes:
        """Bring a large change to the server, where nobody sees it yet; return its key."""
        staged = self._keys + b"staged:" + uuid4().hex.encode() + b":%d" % group

        def bring(piece: Sequence[tuple[bytes, bytes]], link: Link) -> None:
            link.ask("HSET", staged, *[word for pair in piece for word in pair])
            link.ask("EXPIRE", staged, STAGED_SECONDS)

        for piece in _pieces(puts.items()):
            self._links.call(partial(bring, piece))
        return staged

    def _fold_soon(self, groups: Iterable[int]) -> None:
        with suppress(BackendError):  # they are applied; whoever needs them folded folds them
            for group in groups:
                self._fold(group)

    def _fold(self, group: int) -> None:
        """Fold the rows that lie beside a group's rows into them."""
        keys = self._group_keys([group])
        cursor = b"0"
        while cursor:
            cursor = self._run("fold", keys, [_packed(group), cursor, b"%d" % (PIECE_ROWS // 2)])

    def _run(self, script: str, keys: Sequence[bytes], words: Sequence[bytes]) -> Answer:
        return self._links.call(lambda link: link.run(script, keys, words))

    def _rewrite_files(self, link: Link) -> None:
        """Have the server write its files anew, and wait for it: what was deleted is in them until then.

        Raises:
            TransientError: It takes long, or the server does not let us.
        """
        jobs = [("BGREWRITEAOF",)] if link.info().get("aof_enabled") == "1" else []
        jobs += [("BGSAVE", "SCHEDULE")] if link.setting("save") else []
        end = time.monotonic() + REWRITE_SECONDS
        for job in jobs:
            self._wait_for_files(link, end)  # what began before does not count
            link.ask(*job)
            self._wait_for_files(link, end)

    def _wait_for_files(self, link: Link, end: float) -> None:
        running = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
        while any(link.info().get(name, "0") != "0" for name in running):
            if time.monotonic() > end:
                raise TransientError(
                    "the rows are deleted, and the server is still writing its files anew",
                    where=self._where,
                    todo="try again in a minute",
                )
            time.sleep(0.02)


def _words(*words: bytes) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def _command(*words: bytes) -> bytes:
    """Return a command in the server's own form."""
    return b"*%d\r\n%b" % (len(words), _words(*words))


MULTI, EXEC = _command(b"MULTI"), _command(b"EXEC")


def _packed(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def _add(puts: _Puts, change: Change) -> None:
    """Add what a change does to what earlier ones do."""
    if change.replace:
        puts |= {key: b"=" + (row or b"") for key, row in zip(change.keys, change.rows, strict=True)}
        return
    for key, row in zip(change.keys, change.rows, strict=True):
        before = puts.get(key)
        if row is not None and (before is None or row[:HEAD_BYTES] > before[1 : HEAD_BYTES + 1]):
            puts[key] = (b">" if before is None else before[:1]) + row


def _pieces(pairs: Iterable[tuple[bytes, T]]) -> Iterator[list[tuple[bytes, T]]]:
    """Cut keys and rows into what one call brings."""
    piece: list[tuple[bytes, T]] = []
    size = 0
    for key, row in pairs:
        piece.append((key, row))
        size += len(key) + (len(row) if isinstance(row, bytes) else 0)
        if len(piece) == PIECE_ROWS or size > PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
