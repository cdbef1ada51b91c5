"""One process at a time on a data directory."""

import os
import threading
import time
from pathlib import Path

import pytest

from aldis.launcher.failure import Failure
from aldis.launcher.lock import FILE, SERVE, Held, locked


def test_a_server_is_told_of_at_once(tmp_path: Path) -> None:
    with locked(tmp_path, SERVE, patience=0):
        began = time.monotonic()
        with pytest.raises(Held, match=rf"another server uses it \(process {os.getpid()}\)") as caught, locked(tmp_path, "x", patience=9):
            pass
        assert caught.value.by_server
        assert time.monotonic() - began < 1


def test_a_command_is_waited_for(tmp_path: Path) -> None:
    entered = threading.Event()

    def hold() -> None:
        with locked(tmp_path, "aldis user", patience=0):
            entered.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(5)
    with pytest.raises(Held, match="try again when it is done") as caught, locked(tmp_path, SERVE, patience=0):
        pass
    assert not caught.value.by_server
    with locked(tmp_path, SERVE, patience=5):
        pass
    thread.join()


def test_the_lock_is_free_afterwards_however_the_block_ends(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path, SERVE, patience=0):
        raise ZeroDivisionError
    with locked(tmp_path, SERVE, patience=0):
        pass


def test_it_makes_the_directory_and_its_file_for_the_owner_only(tmp_path: Path) -> None:
    data = tmp_path / "a" / "data"
    with locked(data, SERVE, patience=0):
        assert data.stat().st_mode & 0o777 == 0o700
        assert (data / FILE).stat().st_mode & 0o777 == 0o600


def test_what_a_killed_process_left_in_the_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("serve 99999999 " + "x" * 1000)
    with locked(tmp_path, "aldis user", patience=0):
        assert (tmp_path / FILE).read_text() == f"aldis user {os.getpid()}"


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="can't be made"), locked(tmp_path / "file", SERVE, patience=0):
        pass
    (tmp_path / FILE).mkdir()
    with pytest.raises(Failure, match="can't be opened"), locked(tmp_path, SERVE, patience=0):
        pass
