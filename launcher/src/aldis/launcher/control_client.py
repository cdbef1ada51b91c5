"""Ask the running server over its control socket; cheap to import, for it is all that most commands need."""

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from aldis.launcher.control_socket import FILE, MAX_ANSWER, SECONDS, address
from aldis.launcher.failure import Failure
from aldis.launcher.lock import owner_mend


def ask(data_dir: Path, question: dict[str, Any], *, file: str = FILE, seconds: float = SECONDS) -> dict[str, Any] | None:
    """The server's answer; None if none runs. Raises `Failure` for an answer that says so, and when there is none."""
    where = f"data_dir = {data_dir}"
    try:
        with address(data_dir, file) as path, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            raw = _converse(connection, json.dumps(question).encode() + b"\n")
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except PermissionError:
        raise Failure(f"{where}: {file} in it is not open to this user; {owner_mend(data_dir)}", condition="forbidden") from None
    except TimeoutError:
        raise Failure(f"{where}: the server does not answer within {seconds:g} s; see its log", condition="no-answer") from None
    except OSError as error:
        raise Failure(f"{where}: talking to the server failed: {error.strerror}; see its log", condition="no-answer") from None
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Failure(
            f"{where}: the server hung up; it is stopping, too busy, or does not take commands of this user", condition="no-answer"
        )
    if not answer.get("ok"):
        raise Failure(str(answer.get("text") or answer.get("error")), condition=str(answer.get("error", "failed")))
    return answer


def _converse(connection: socket.socket, question: bytes) -> bytes:
    """Everything that the server says until it hangs up, which it may do without a word."""
    answer = bytearray()
    with suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(question)
        while len(answer) <= MAX_ANSWER and (part := connection.recv(65536)):
            answer += part
    return bytes(answer)
