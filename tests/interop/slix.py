"""A slixmpp client in a process of its own, told what to do line by line (slixmpp_client.py)."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from tests.interop.waiting import SECONDS

SCRIPT = Path(__file__).with_name("slixmpp_client.py")
Told = dict[str, Any]


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, answer: Told) -> None:
        super().__init__(answer["error"], answer.get("type"), answer.get("text"))
        self.condition: str = answer["error"]
        self.type: str = answer.get("type", "")
        self.text: str = answer.get("text", "")


class Slixmpp:
    """One slixmpp; the options are those of slixmpp_client.py."""

    def __init__(self, log: Path, jid: str, password: str, *, port: int, certificate: Path | None, **options: Any) -> None:
        """It connects when it is told to."""
        self.name = f"slixmpp {jid}" + (f"/{options['resource']}" if options.get("resource") else "")
        self.jid = jid
        self.address = f"{jid}/{options['resource']}" if options.get("resource") else jid
        self.version = ""
        self.pid = 0
        self._errors = log
        self._changed = threading.Condition()
        self._told: list[Told] = []
        self._waiting: list[Told] = []
        self._ended = False
        self._commands = 0
        self._options = {"jid": jid, "password": password, "host": "127.0.0.1", "port": port, **options}
        self._options["ca_certs"] = str(certificate) if certificate else None
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, SCRIPT, json.dumps(self._options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
            )
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout], daemon=True)
        self._reader.start()
        ready = self.told("ready")
        self.pid = ready["pid"]
        self.version = f"slixmpp {ready['slixmpp']} (Python {ready['python']}, {ready['openssl']})"

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            told = json.loads(line)
            with self._changed:
                self._told.append(told)
                self._waiting.append(told)
                self._changed.notify()
        with self._changed:
            self._ended = True
            self._changed.notify()

    def do(self, command: str, **keys: Any) -> Any:
        """Have something done, and wait for its answer; raises `Refused`."""
        self._commands += 1
        number = self._commands
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"n": number, "do": command, **keys}) + "\n")
        self._process.stdin.flush()
        answer = self.told("done", n=number)
        if "error" in answer:
            raise Refused(answer)
        return answer["answer"]

    def told(self, event: str, **keys: Any) -> Told:
        """Wait until it tells of this, and return it; each event is found once, and those before it stay to be found."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._find(event, keys) is not None, SECONDS)
            index = self._find(event, keys)
            assert index is not None, f"{event} {keys} never came from {self.name}" + (", which ended" if self._ended else "")
            return self._waiting.pop(index)

    def heard(self, event: str, **keys: Any) -> list[Told]:
        """Return what it has told by now and was not found yet; a ping before makes sure that what was sent is there."""
        with self._changed:
            return [told for told in self._waiting if _is(told, event, keys)]

    def _find(self, event: str, keys: dict[str, Any]) -> int | None:
        return next((index for index, told in enumerate(self._waiting) if _is(told, event, keys)), None)

    def login(self) -> Told:
        """Connect; what it says of its session."""
        self.do("connect")
        return self.told("started")

    def online(self) -> Told:
        """Connect, ask for the roster and become available, as clients do (RFC 6121 §2.2, §4.2)."""
        started = self.login()
        self.do("roster")
        self.do("presence")
        self.told("presence", sender=started["jid"], type="")
        return started

    def transcript(self) -> str:
        """Give all it told, and the end of its own log."""
        told = "\n".join(json.dumps(each, ensure_ascii=False) for each in self._told)
        return f"{told}\n── stderr ──\n{self._errors.read_text()[-12_000:]}"

    def close(self) -> None:
        """End it, by the end of its input or else by force."""
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        self._reader.join(5)
        process.stdout.close()


def _is(told: Told, event: str, keys: dict[str, Any]) -> bool:
    return told["event"] == event and all(told.get(key) == value for key, value in keys.items())
