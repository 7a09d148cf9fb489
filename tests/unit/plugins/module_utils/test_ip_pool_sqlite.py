# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a register: how it is made, and what is refused without touching it."""

import contextlib
import os
import sqlite3
import stat
import threading

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import ip_pool_sqlite
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import PoolError
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import answer_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import (
    SqliteRegister,
    is_register,
    open_register,
)

POOLS = [{"name": "p", "prefix": "203.0.113.0/24"}]


def ask(path, owner, patience=60.0, check=False):
    with contextlib.closing(open_register(str(path), check=check, patience=patience)) as register:
        return answer_request(register, read_request(POOLS, [{"owner": owner, "pool": "p"}]), now=1, keep=not check)


def refused(path, owner="a", **more):
    with pytest.raises(PoolError) as caught:
        ask(path, owner, **more)
    return str(caught.value)


def mode_of(path):
    return stat.S_IMODE(os.stat(str(path)).st_mode)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "leases.sqlite"


def test_directory_and_file_are_made_for_their_owner_and_group_alone(path):
    before = os.umask(0)
    try:
        ask(path, "a")
    finally:
        os.umask(before)
    assert (mode_of(path.parent), mode_of(path)) == (0o750, 0o640)
    assert os.listdir(str(path.parent)) == ["leases.sqlite"]


def test_a_directory_that_is_there_keeps_its_mode(path):
    path.parent.mkdir(mode=0o711)
    ask(path, "a")
    assert mode_of(path.parent) == 0o711


def test_a_path_with_odd_characters_is_that_file(tmp_path):
    ask(tmp_path / "a b?mode=ro#%41.sqlite", "a")
    assert os.listdir(str(tmp_path)) == ["a b?mode=ro#%41.sqlite"]


def test_commits_are_synced_and_readers_do_not_wait(path):
    with contextlib.closing(open_register(str(path))) as register:
        pragmas = {name: register._db.execute(f"PRAGMA {name}").fetchone()[0] for name in (
            "journal_mode", "synchronous", "busy_timeout", "foreign_keys")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 60000, "foreign_keys": 1}
        with register.transaction(keep=True), contextlib.closing(open_register(str(path))) as reader:
            assert reader.read_snapshot().pools == ()


def test_check_mode_makes_no_file_and_predicts_the_addresses(path):
    outcome = ask(path, "a", check=True)
    assert outcome.answers[0]["address"] == "203.0.113.1"
    assert not path.parent.exists()
    ask(path, "b")
    before = path.read_bytes()
    assert ask(path, "a", check=True).answers[0]["address"] == "203.0.113.2"
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_register(path):
    path.parent.mkdir()
    path.write_bytes(b"")
    assert ask(path, "a", check=True).answers[0]["new"]
    assert path.read_bytes() == b""
    assert ask(path, "a").answers[0]["new"]
    assert is_register(str(path))


@pytest.mark.parametrize("content", [b"owner;address\n", b"\0" * 4096, b"SQLite format 3\0"])
def test_a_file_that_is_something_else_is_not_touched(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    assert "is not a register of leases and was not touched" in refused(path)
    assert path.read_bytes() == content
    assert os.listdir(str(path.parent)) == ["leases.sqlite"]


def test_a_database_of_something_else_is_not_touched(path):
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(str(path))) as other:
        other.execute("CREATE TABLE lease (owner)")
    before = path.read_bytes()
    assert "is not a register of leases" in refused(path)
    assert path.read_bytes() == before


def test_a_register_of_a_newer_release_is_refused(path):
    ask(path, "a")
    with contextlib.closing(sqlite3.connect(str(path))) as newer:
        newer.execute("PRAGMA user_version = 99")
    assert "written by a newer release (schema 99, this one knows 1)" in refused(path)


def test_a_damaged_register_is_refused_and_left_as_it_is(path):
    ask(path, "a")
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    assert "the register is damaged" in refused(path)
    assert path.read_bytes() == bytes(content)


def test_a_register_that_contradicts_itself_is_refused(path):
    ask(path, "a")
    with contextlib.closing(sqlite3.connect(str(path))) as other:
        other.execute("UPDATE free_range SET first = (SELECT address FROM lease)")
        other.commit()
    assert "UNIQUE constraint failed: lease.address; the register is damaged" in refused(path, "b")


def test_the_database_itself_refuses_an_address_or_a_lease_twice(path):
    ask(path, "a")
    with contextlib.closing(sqlite3.connect(str(path))) as other:
        for wrong in (
            "INSERT INTO lease SELECT 'b', pool, address, NULL, 1 FROM lease",
            "INSERT INTO lease SELECT owner, pool, zeroblob(16), NULL, 1 FROM lease",
            "INSERT INTO lease SELECT 'b', pool, zeroblob(4), NULL, 1 FROM lease",
            "INSERT INTO lease SELECT 'b', pool, '0123456789abcdef', NULL, 1 FROM lease",
            "UPDATE free_range SET last = zeroblob(16)",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                other.execute(wrong)


def test_waiting_for_another_process_has_an_end(path):
    ask(path, "a")
    with contextlib.closing(sqlite3.connect(str(path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "database is locked; nothing was changed; another process holds it" in refused(path, patience=0.1)


def test_a_file_system_without_shared_memory_is_refused(path):
    path.parent.mkdir()
    with pytest.raises(PoolError) as caught:  # this VFS locks by a file of its own, and can't share memory
        SqliteRegister(str(path), f"file:{path}?vfs=unix-dotfile", 1)
    assert "put the register on a local file system" in str(caught.value)


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path):
    assert "Is a directory; name a path" in refused(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    assert "Not a directory; name a path" in refused(tmp_path / "file" / "leases.sqlite")


def test_an_older_schema_is_brought_up_to_date(path, monkeypatch):
    ask(path, "a")
    with monkeypatch.context() as patch:
        later = "CREATE TABLE later (a); CREATE TABLE still_later (a)"
        patch.setattr(ip_pool_sqlite, "SCHEMAS", (*ip_pool_sqlite.SCHEMAS, later))
        assert not ask(path, "a").steps
    assert "schema 2, this one knows 1" in refused(path)


def test_changing_to_wal_mode_waits_for_a_process_that_makes_the_same_file(path):
    ask(path, "a")
    with contextlib.closing(sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")  # SQLite itself does not wait for this one
        end = threading.Timer(0.3, other.execute, ["COMMIT"])
        end.start()
        try:
            assert not ask(path, "a").steps
        finally:
            end.join()
