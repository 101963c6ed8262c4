"""The newest values in PostgreSQL: one table of rows, one of how far each group is applied, in a schema of their own.

A transaction applies the changes of all groups; those who apply to a group take turns. A read is one statement, and so
of one state.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from asof.errors import BackendError, MissingDependencyError, PermanentError, TransientError, UsageError
from asof.online.deadlines import Cut, Deadlines, OutOfTimeError
from asof.online.port import Applied, Change, WithoutFiles, pending
from asof.online.remote import (
    CheckedSnapshot,
    Mark,
    Marks,
    Memo,
    Pool,
    Requests,
    Steps,
    Until,
    Wanted,
    attempts,
    is_up,
    late,
    name_of,
    place_of,
    without_option,
)

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError as error:
    raise MissingDependencyError("psycopg", extra="postgres") from error

T = TypeVar("T")

PIECE_ROWS = 10_000
"""Rows of one statement."""

CONNECT_SECONDS = 5
SETUP_SECONDS = 30
"""How long a new connection may take to find its tables, or to make them: others may be making them."""

LOCK_SECONDS = 10
"""How long an erasure waits for those who read."""

_SETUP = """
SELECT pg_advisory_xact_lock(hashtextextended({name}, 0));
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE SEQUENCE IF NOT EXISTS {schema}.stamp;
CREATE TABLE IF NOT EXISTS {schema}.marks (group_id bigint PRIMARY KEY, mark bytea NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}.rows (
    group_id bigint, key bytea, row bytea NOT NULL, PRIMARY KEY (group_id, key)
);
"""

_FOUND = "SELECT pg_postmaster_start_time()::text, to_regclass(quote_ident({name}) || '.rows')::text"

_READ = """
SELECT (SELECT coalesce(string_agg(mark, '' ORDER BY group_id), '') FROM {schema}.marks),
    ARRAY(
        SELECT (SELECT r.row FROM {schema}.rows r WHERE r.group_id = wanted.group_id AND r.key = wanted.key)
        FROM unnest(%t::bigint[], %t::bytea[]) WITH ORDINALITY AS wanted(group_id, key, place) ORDER BY place
    )
"""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended({name}, g)) FROM unnest(%b::bigint[]) AS g"

_MARKS = """
SELECT coalesce(string_agg(mark, '' ORDER BY group_id), ''), nextval('{schema}.stamp')
FROM {schema}.marks WHERE group_id = ANY(%b::bigint[])
"""

_PUT = """
INSERT INTO {schema}.rows AS r (group_id, key, row)
SELECT %b, key, row FROM unnest(%b::bytea[], %b::bytea[]) AS new(key, row)
ON CONFLICT (group_id, key) DO UPDATE SET row = excluded.row
"""

_PUT_NEWER = _PUT + "WHERE substring(excluded.row FOR 16) > substring(r.row FOR 16)"

_DELETE = "DELETE FROM {schema}.rows WHERE group_id = %b AND key = ANY(%b::bytea[])"

_MARK = """
INSERT INTO {schema}.marks (group_id, mark) SELECT * FROM unnest(%b::bigint[], %b::bytea[])
ON CONFLICT (group_id) DO UPDATE SET mark = excluded.mark
"""


@dataclass(frozen=True, slots=True)
class _Session:
    """A connection.

    Attributes:
        sql: The connection.
        server: Names the run of the server: another one after a restart or a failover.
        cut: Cuts it.
    """

    sql: psycopg.Connection[Any]
    server: str
    cut: Cut

    def close(self) -> None:
        """Disconnect."""
        self.cut.close()
        self.sql.close()

    def ask(self, text: bytes, *arguments: Any) -> Any:  # noqa: ANN401 - what SQL takes and gives
        """Run a statement; return its first row, None if it has none."""
        cursor = self.sql.execute(text, arguments or None, binary=True)
        return cursor.fetchone() if cursor.description else None


class PostgresOnlineStore(WithoutFiles):
    """The online port over one PostgreSQL database.

    Args:
        url: "postgresql://USER:PASSWORD@HOST:PORT/DATABASE", with libpq's options, and `schema`, which names the
            store's tables (default: made of the path of the store's folder).
        root: The store's folder.

    Raises:
        MissingDependencyError: The package psycopg is not installed.
        UsageError: The URL makes no sense.
    """

    waits = True

    def __init__(self, url: str, *, root: str = "", repair: bool = False) -> None:
        """Connect when it is first needed."""
        del repair
        self._url, schema = without_option(url, "schema")
        self._where = place_of(url)
        try:
            conninfo_to_dict(self._url)
        except psycopg.Error:  # its message may hold the password
            todo = "write postgresql://HOST:PORT/DATABASE?schema=NAME"
            raise UsageError("this is no URL of PostgreSQL", where=self._where, todo=todo) from None
        self._schema = name_of("schema", schema, root) if schema else f"asof_{name_of('schema', '', root)}"
        self._pool: Pool[_Session] = Pool(self._connected, _Session.close)
        self._deadlines = Deadlines()
        self._steps = Steps(self._where)
        self._memo = Memo()
        self._read_text = self._text(_READ)

    def snapshot(self, until: Until = None) -> CheckedSnapshot:
        """See `OnlineStore.snapshot`."""
        return CheckedSnapshot(self._read, self._read_many, until)

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        """See `OnlineStore.apply`."""
        groups = sorted({change.group_id for change in changes})

        def work(session: _Session) -> Marks:
            with session.sql.transaction():
                marks, stamp = self._locked(session, groups)
                todo = pending(changes, marks.applied)
                if not todo:
                    return marks
                self._steps.check(todo, marks, session.server)
                marks = self._put(session, todo, marks, stamp)
            self._steps.done(todo, marks, session.server)
            return marks

        marks = self._call(work) if changes else Marks(b"")
        return {group: marks.applied.get(group, Applied()) for group in groups}

    def clear(self, group_id: int) -> None:
        """See `OnlineStore.clear`."""
        self._steps.forget(group_id)

        def work(session: _Session) -> None:
            with session.sql.transaction():
                self._locked(session, [group_id])
                session.ask(self._text("DELETE FROM {schema}.rows WHERE group_id = %b"), group_id)
                session.ask(self._text("DELETE FROM {schema}.marks WHERE group_id = %b"), group_id)

        self._call(work)

    def erase(self, group_id: int, keys: Sequence[bytes]) -> int:
        """See `OnlineStore.erase`: the table is written anew, and nobody reads it meanwhile."""

        def work(session: _Session) -> int:
            with session.sql.transaction():
                marks, stamp = self._locked(session, [group_id])
                deleted = session.sql.execute(self._text(_DELETE), (group_id, list(keys))).rowcount
                mark = marks.by_group.get(group_id)
                if mark is not None:
                    self._mark(session, [mark._replace(changed=stamp, replaced=stamp)])
            return deleted

        deleted = self._call(work) if keys else 0
        if keys:
            self._call(self._rewrite)
        return deleted

    def count(self, group_id: int) -> int:
        """See `OnlineStore.count`."""
        text = self._text("SELECT count(*) FROM {schema}.rows WHERE group_id = %b")
        return self._call(lambda session: session.ask(text, group_id)[0])

    def check(self) -> list[str]:
        """See `OnlineStore.check`: its files are the server's own affair; what it answers is looked at."""
        text = self._text("SELECT count(*) FROM {schema}.rows WHERE length(row) < 16")
        broken = self._call(lambda session: session.ask(text)[0])
        return [f"{self._where}: {broken} rows of schema {self._schema} are broken"] if broken else []

    def close(self) -> None:
        """See `OnlineStore.close`."""
        self._pool.end()

    def _text(self, text: str) -> bytes:
        name = "'" + self._schema.replace("'", "''") + "'"
        schema = f'"{self._schema}"'.replace("%", "%%")
        return text.format(schema=schema, name=name.replace("%", "%%")).encode()

    def _read(self, requests: Requests, until: Until = None) -> tuple[Marks, list[bytes | None]]:
        # As text: the package's lists take longer than the rest of the call.
        groups = "{" + ",".join([str(group) for group, _ in requests]) + "}"
        keys = "{" + ",".join(['"\\\\x' + key.hex() + '"' for _, key in requests]) + "}"
        raw, rows = self._call(lambda session: session.ask(self._read_text, groups, keys), until)
        return self._memo.of(raw), rows

    def _read_many(self, wanted: Wanted, until: Until = None) -> tuple[Marks, list[list[bytes | None]]]:
        marks, rows = self._read([(group, key) for group, keys in wanted for key in keys], until)
        left = iter(rows)
        return marks, [list(islice(left, len(keys))) for _, keys in wanted]

    def _locked(self, session: _Session, groups: Sequence[int]) -> tuple[Marks, int]:
        """Wait for others who apply to groups; return their marks, and a stamp that is greater than any before."""
        session.ask(self._text(_LOCK), groups)
        raw, stamp = session.ask(self._text(_MARKS), groups)
        return Marks(raw), stamp

    def _put(self, session: _Session, todo: Sequence[Change], marks: Marks, stamp: int) -> Marks:
        """Put the rows of changes, and the marks after them; return these."""
        after = marks.after(todo)
        for group, mark in after.items():
            older = any(change.replace for change in todo if change.group_id == group)
            if group not in marks.by_group:
                after[group] = mark._replace(created=stamp, changed=stamp, replaced=stamp)
            else:
                after[group] = mark._replace(changed=stamp, replaced=stamp if older else mark.replaced)
        newer, any_, delete = self._text(_PUT_NEWER), self._text(_PUT), self._text(_DELETE)
        for change in todo:
            for start in range(0, len(change.keys), PIECE_ROWS):
                keys, rows = change.keys[start : start + PIECE_ROWS], change.rows[start : start + PIECE_ROWS]
                gone = [key for key, row in zip(keys, rows, strict=True) if row is None] if change.replace else []
                if gone:
                    session.ask(delete, change.group_id, gone)
                    keys = [key for key, row in zip(keys, rows, strict=True) if row is not None]
                    rows = [row for row in rows if row is not None]
                session.ask(any_ if change.replace else newer, change.group_id, list(keys), list(rows))
        self._mark(session, list(after.values()))
        return Marks(marks.raw + b"".join(mark.pack() for mark in after.values()))

    def _mark(self, session: _Session, marks: Sequence[Mark]) -> None:
        session.ask(self._text(_MARK), [mark.group_id for mark in marks], [mark.pack() for mark in marks])

    def _rewrite(self, session: _Session) -> None:
        """Write the table of rows anew: what was deleted lies in its file until then.

        Raises:
            TransientError: Somebody reads it for long, or may still see what was deleted.
        """
        kept: list[int] = []

        def heard(said: psycopg.errors.Diagnostic) -> None:
            found = re.match(r"\D*(\d+)", said.message_detail or "")  # "3 dead row versions cannot be removed yet."
            kept.append(int(found[1]) if found else 0)

        session.sql.add_notice_handler(heard)
        try:
            session.ask(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
            session.ask(self._text("VACUUM (FULL, VERBOSE) {schema}.rows"))
        finally:
            session.sql.remove_notice_handler(heard)
            if not session.sql.closed:
                session.ask(b"RESET lock_timeout")
        if any(kept):
            raise TransientError(
                "the rows are deleted, and a transaction that began before may still read them",
                where=self._where,
                todo="end long transactions in the database, and try again",
            )

    def _connected(self) -> _Session:
        sql: psycopg.Connection[Any] = psycopg.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="asof"
        )
        cut: Cut | None = None
        try:
            cut = Cut(sql.fileno())
            session = _Session(sql, "", cut)
            with self._deadlines.cutting(cut, time.monotonic() + SETUP_SECONDS):
                found = session.ask(self._text(_FOUND))
                if found[1] is None:
                    sql.execute(self._text(_SETUP))
            return _Session(sql, found[0], cut)
        except BaseException:  # an interrupt too must leave no connection open
            if cut is not None:
                cut.close()
            sql.close()
            raise

    def _call(self, work: Callable[[_Session], T], until: Until = None) -> T:
        """Do something over a connection; again over a new one where the connection or the server failed.

        Args:
            work: What to do.
            until: See `OnlineStore.snapshot`.

        Raises:
            TransientError: It failed each time. PermanentError: Another time would not help.
        """
        for last in attempts(until):
            session: _Session | None = None
            try:
                session = self._pool.take(until)
                with self._deadlines.cutting(session.cut, until):
                    answer = work(session)
            except OutOfTimeError:
                raise late(self._where) from None
            except psycopg.Error as error:
                self._pool.drop(session)
                if is_up(until):
                    raise late(self._where) from error
                if session is None or session.sql.broken or error.sqlstate == MISSING_TABLE:
                    self._pool.close()
                if last or not _may_pass(error):
                    raise self._translation(error) from error
            except BaseException:  # an interrupt
                self._pool.drop(session)  # an answer may be on its way
                raise
            else:
                (self._pool.drop if is_up(until) else self._pool.give)(session)  # it may have been cut just now
                return answer
        raise AssertionError

    def _translation(self, error: psycopg.Error) -> BackendError:
        text = " ".join(str(error).split())
        if _may_pass(error):
            what = f"the online store cannot be reached: {text}"
            return TransientError(what, where=self._where, todo="see that PostgreSQL runs there, and try again")
        if "authentication failed" in text or "no password" in text:
            todo = "check user and password in the variable ASOF_ONLINE"
            return PermanentError("PostgreSQL refuses the user or the password", where=self._where, todo=todo)
        if error.sqlstate == "53100":
            return PermanentError(f"PostgreSQL has no disk space: {text}", where=self._where, todo="free some")
        if error.sqlstate == "42501":
            todo = "let the user create a schema, or make it for him"
            return PermanentError(f"PostgreSQL refuses: {text}", where=self._where, todo=todo)
        return PermanentError(f"PostgreSQL refuses: {text}", where=self._where)


MISSING_TABLE = "42P01"
"""Somebody dropped the schema: it is made again, and what it held is applied again from history."""

WILL_PASS = ("08", "57P", "40", "53300", "55P03", "25006", MISSING_TABLE)
"""SQL states of connections, servers that start or stop, lost races, and a server that was the primary."""

STAYS = ("authentication failed", "no password", "does not exist", "role ", "pg_hba")


def _may_pass(error: psycopg.Error) -> bool:
    if error.sqlstate is None:  # it never got as far as the server, or the server went away
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return lost and not any(words in str(error) for words in STAYS)
    return error.sqlstate.startswith(WILL_PASS)
