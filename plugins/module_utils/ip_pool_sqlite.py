# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A register of leases in one SQLite file; the only place with SQL. The SQL works with SQLite 3.26 (AlmaLinux 8).

The file is in WAL mode (https://sqlite.org/wal.html), so it must be on a file system of its host, not on NFS; every
commit is synced. Addresses are 16-byte big-endian BLOBs, which compare as the numbers they are. Free ranges are rows,
so choosing a free address costs the same in every pool.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import urllib.parse
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import (
    FreeQuestion,
    Lease,
    LeaseChange,
    LeaseRequest,
    Pool,
    PoolChange,
    PoolError,
    Register,
    Snapshot,
)
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_pool
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_spans import ADDRESS_LAST, Span, write_spans

PATIENCE = 60.0                     # seconds to wait for other processes: SQLite is not fair to them
APPLICATION_ID = 0x564D4350         # "VMCP", at offset 68 of the file (https://sqlite.org/fileformat.html)
FILE_MODE = 0o640
FOLDER_MODE = 0o750

# One entry for each version of the schema: what makes it from the version before. PRAGMA user_version counts them.
SCHEMAS = (
    """
    CREATE TABLE pool (
      id INTEGER PRIMARY KEY,
      name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),
      prefix TEXT NOT NULL,
      ranges TEXT NOT NULL,
      exclude TEXT NOT NULL
    );
    CREATE TABLE lease (
      owner TEXT NOT NULL CHECK (length(owner) > 0),
      pool INTEGER NOT NULL REFERENCES pool (id),
      address BLOB NOT NULL UNIQUE CHECK (typeof(address) = 'blob' AND length(address) = 16),
      holder TEXT CHECK (length(holder) > 0),
      leased_at INTEGER NOT NULL CHECK (typeof(leased_at) = 'integer'),
      PRIMARY KEY (owner, pool)
    ) WITHOUT ROWID;
    CREATE INDEX lease_by_pool ON lease (pool);
    CREATE TABLE free_range (
      pool INTEGER NOT NULL REFERENCES pool (id),
      first BLOB NOT NULL CHECK (typeof(first) = 'blob' AND length(first) = 16),
      last BLOB NOT NULL CHECK (typeof(last) = 'blob' AND length(last) = 16),
      PRIMARY KEY (pool, first),
      CHECK (first <= last)
    ) WITHOUT ROWID;
    """,
)

_LEASE = (
    "SELECT lease.owner, pool.name, lease.address, lease.holder, lease.leased_at"
    " FROM lease JOIN pool ON pool.id = lease.pool")
_DAMAGED = "the register is damaged, nothing was changed; restore it from a backup"
_Row = Tuple[str, str, bytes, Optional[str], int]


def open_register(path: str, check: bool = False, patience: float = PATIENCE) -> SqliteRegister:
    """Return the register in a file, which is made when it is missing (directory 0750, file 0640).

    check: make nothing; a register that is missing is an empty one in memory. patience: seconds to wait for others.
    Raises PoolError: the file is something else (it is not touched), is damaged, is newer, or can't be written.
    """
    path = os.path.abspath(path)
    with _explained(path):
        if not is_register(path):
            if check:
                return SqliteRegister(path, ":memory:", patience)
            _make_file(path)
        return SqliteRegister(path, f"file:{urllib.parse.quote(path)}?mode=rw", patience)


def is_register(path: str) -> bool:
    """Return whether a file is a register: False when it is missing or empty; PoolError when it is something else.

    Ask before SQLite has the file open: closing any handle of a file drops the process's locks on it.
    """
    with _explained(path):
        try:
            with open(path, "rb") as stream:
                head = stream.read(100)
        except FileNotFoundError:
            return False
    if not head:
        return False
    if head[:16] != b"SQLite format 3\0" or head[68:72] != APPLICATION_ID.to_bytes(4, "big"):
        raise PoolError(f"{path} is not a register of leases and was not touched; name another path, or move it away")
    return True


class SqliteRegister(Register):
    """Use open_register()."""

    def __init__(self, path: str, target: str, patience: float) -> None:
        self._path = path
        self._ids: Dict[str, int] = {}
        self._db = sqlite3.connect(target, timeout=patience, isolation_level=None, uri=True)
        try:
            self._db.execute("PRAGMA foreign_keys = ON")
            self._make_schema()
            if target != ":memory:":
                self._use_wal(patience)
            self._db.execute("PRAGMA synchronous = FULL")
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        with _explained(self._path):
            self._db.close()

    @contextlib.contextmanager
    def transaction(self, keep: bool) -> Iterator[None]:
        with _explained(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def read_pools(self) -> Tuple[Pool, ...]:
        rows = self._db.execute("SELECT id, name, prefix, ranges, exclude FROM pool ORDER BY name").fetchall()
        self._ids = {name: number for number, name, _prefix, _ranges, _exclude in rows}
        return tuple(
            read_pool(name, prefix, _split(ranges), _split(exclude)) for _number, name, prefix, ranges, exclude in rows)

    def read_pool_leases(self, pools: Iterable[str]) -> Tuple[Lease, ...]:
        return tuple(
            _lease(row) for name in pools if name in self._ids
            for row in self._db.execute(f"{_LEASE} WHERE lease.pool = ?", (self._ids[name],)))

    def read_leased_addresses(self, spans: Iterable[Span]) -> Tuple[int, ...]:
        ask = "SELECT address FROM lease WHERE address BETWEEN ? AND ?"
        return tuple(
            int.from_bytes(address, "big") for span in spans
            for (address,) in self._db.execute(ask, (_blob(span.first), _blob(span.last))))

    def read_leases(self, requests: Iterable[LeaseRequest]) -> Tuple[Lease, ...]:
        found: Set[_Row] = set()
        for request in requests:
            if request.pool is None:
                found.update(self._db.execute(f"{_LEASE} WHERE lease.owner = ?", (request.owner,)))
            elif request.pool in self._ids:
                key = (request.owner, self._ids[request.pool])
                found.update(self._db.execute(f"{_LEASE} WHERE lease.owner = ? AND lease.pool = ?", key))
            if request.address is not None:
                found.update(self._db.execute(f"{_LEASE} WHERE lease.address = ?", (_blob(request.address),)))
        return tuple(sorted((_lease(row) for row in found), key=lambda lease: lease.address))

    def read_free(self, questions: Mapping[str, FreeQuestion]) -> Dict[str, Tuple[Span, ...]]:
        lowest = "SELECT first, last FROM free_range WHERE pool = ? ORDER BY first LIMIT ?"
        around = "SELECT first, last FROM free_range WHERE pool = ? AND first <= ? ORDER BY first DESC LIMIT 2"
        found: Dict[str, Tuple[Span, ...]] = {}
        for name, question in questions.items():
            pool = self._ids[name]
            rows = set(self._db.execute(lowest, (pool, question.lowest)))
            for number in question.around:  # what starts right behind it, and what holds it or ends right before it
                rows.update(self._db.execute(around, (pool, _blob(min(number + 1, ADDRESS_LAST)))))
            found[name] = tuple(sorted(_span(row) for row in rows))
        return found

    def write_pools(self, changes: Iterable[PoolChange]) -> None:
        for pool, new, free in changes:
            values = (pool.prefix, write_spans(pool.ranges), write_spans(pool.exclude), pool.name)
            if new:
                made = self._db.execute("INSERT INTO pool (prefix, ranges, exclude, name) VALUES (?, ?, ?, ?)", values)
                self._ids[pool.name] = int(made.lastrowid or 0)
            else:
                self._db.execute("UPDATE pool SET prefix = ?, ranges = ?, exclude = ? WHERE name = ?", values)
            self._db.execute("DELETE FROM free_range WHERE pool = ?", (self._ids[pool.name],))
            self._add_free([(pool.name, span) for span in free])

    def write_leases(self, change: LeaseChange) -> None:
        self._change(
            "DELETE FROM free_range WHERE pool = ? AND first = ? AND last = ?",
            [(self._ids[pool], _blob(span.first), _blob(span.last)) for pool, span in change.free_gone])
        self._change(
            "DELETE FROM lease WHERE owner = ? AND pool = ? AND address = ?",
            [(lease.owner, self._ids[lease.pool], _blob(lease.address)) for lease in change.gone])
        self._change(
            "UPDATE lease SET holder = ? WHERE owner = ? AND pool = ?",
            [(lease.holder, lease.owner, self._ids[lease.pool]) for lease in change.held])
        self._change(
            "INSERT INTO lease (owner, pool, address, holder, leased_at) VALUES (?, ?, ?, ?, ?)",
            [(lease.owner, self._ids[lease.pool], _blob(lease.address), lease.holder, lease.leased_at)
             for lease in change.come])
        self._add_free(change.free_come)

    def read_snapshot(self) -> Snapshot:
        with _explained(self._path):
            self._db.execute("BEGIN")
            try:
                pools = self.read_pools()
                leases = tuple(_lease(row) for row in self._db.execute(f"{_LEASE} ORDER BY lease.address"))
                free: Dict[str, List[Span]] = {pool.name: [] for pool in pools}
                rows = "SELECT pool.name, first, last FROM free_range JOIN pool ON pool.id = pool ORDER BY first"
                for name, first, last in self._db.execute(rows):
                    free[name].append(_span((first, last)))
            finally:
                self._db.execute("ROLLBACK")
        return Snapshot(pools, leases, {name: tuple(spans) for name, spans in free.items()})

    def _add_free(self, rows: Sequence[Tuple[str, Span]]) -> None:
        self._change(
            "INSERT INTO free_range (pool, first, last) VALUES (?, ?, ?)",
            [(self._ids[pool], _blob(span.first), _blob(span.last)) for pool, span in rows])

    def _change(self, statement: str, rows: Sequence[Tuple[object, ...]]) -> None:
        """Run a statement once for each row; each must change one row of the table, or the register is damaged."""
        if rows and self._db.executemany(statement, rows).rowcount != len(rows):
            raise PoolError(f"{self._path}: a row to change is not there; {_DAMAGED}")

    def _make_schema(self) -> None:
        """Bring the schema to today's version. The application id is in the file before WAL mode is, so is_register()
        finds it there at any moment."""
        if self._version() == len(SCHEMAS):
            return
        with self.transaction(keep=True):
            version = self._version()
            if version > len(SCHEMAS):
                raise PoolError(
                    f"{self._path} was written by a newer release (schema {version}, this one knows {len(SCHEMAS)}); "
                    "use that release")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            for schema in SCHEMAS[version:]:
                for statement in schema.split(";"):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {len(SCHEMAS)}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _use_wal(self, patience: float) -> None:
        """Change to WAL mode; that needs the file alone and doesn't always wait for it, so ask again for a while."""
        deadline = time.monotonic() + patience
        while True:
            try:
                mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
                continue
            if mode != "wal":
                raise PoolError(
                    f"{self._path}: its file system can't hold a register that processes share (SQLite's WAL mode; it "
                    f"stays in mode {mode}); put the register on a local file system")
            return


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Say in the operator's words what SQLite or the system refuses."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise PoolError(f"{path}: {error}; {_DAMAGED}") from error
    except sqlite3.OperationalError as error:
        hint = "another process holds it; try again" if "locked" in str(error) else "see its permissions and free space"
        raise PoolError(f"{path}: {error}; nothing was changed; {hint}") from error
    except sqlite3.DatabaseError as error:
        raise PoolError(f"{path}: {error}; {_DAMAGED}") from error
    except OSError as error:
        raise PoolError(f"{path}: {error.strerror}; name a path that can be read and written") from error


def _make_file(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, FOLDER_MODE, exist_ok=True)
        os.chmod(folder, FOLDER_MODE)
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            os.fchmod(handle, FILE_MODE)  # whatever the umask; SQLite gives its -wal and -shm files the same
        finally:
            os.close(handle)


def _blob(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _span(row: Tuple[bytes, bytes]) -> Span:
    return Span(int.from_bytes(row[0], "big"), int.from_bytes(row[1], "big"))


def _lease(row: _Row) -> Lease:
    owner, pool, address, holder, leased_at = row
    return Lease(owner, pool, int.from_bytes(address, "big"), holder, leased_at)


def _split(text: str) -> Tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
