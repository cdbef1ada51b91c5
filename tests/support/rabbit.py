"""A RabbitMQ of the tests' own: own epmd, node name, data and ports, on loopback, gone when the tests are.

Nothing of the machine's own broker is touched or used: the programs are run from where Debian puts them, as whoever
runs the tests, with HOME (for the cookie), configuration and data in a directory of their own. It starts in some four
seconds. `rabbit` is one broker for the whole run, shared by all workers: a test uses a `prefix` of its own and does the
broker no harm. `own_rabbit` is a module's own, to be killed, stopped, filled up and configured.
"""

import base64
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOTS = ("/usr/lib/rabbitmq/lib", "/opt/rabbitmq/lib")
START_SECONDS = 120.0
"""On a machine that is busy with other tests; four where it is quiet."""
WARDEN = Path(__file__).with_name("warden.py")
RARE = range(20_000, 32_000)
"""Below what Linux hands out to whoever does not care (ip_local_port_range)."""
LIMITS = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Two schedulers that do not spin: tests share the machine."""


def scripts() -> Path | None:
    """Where the broker's own scripts are; None if it is not installed."""
    found = [path for root in ROOTS for path in Path(root).glob("rabbitmq_server-*/sbin/rabbitmq-server")]
    return max(found).parent if found and shutil.which("epmd") else None


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now, and that nobody is given by chance while the broker is down."""
    ports: list[int] = []
    while len(ports) < count:
        port = secrets.choice(RARE)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
    return ports


class Rabbit:
    """One broker in one directory; another process can make the same from `described`."""

    def __init__(self, home: Path, ports: tuple[int, int, int], node: str) -> None:
        self.home = home
        self.ports = ports
        self.node = node
        self.watched = 0
        self._wardens: list[subprocess.Popen[bytes]] = []

    @classmethod
    def made(cls, home: Path, *, config: str = "") -> "Rabbit":
        """A broker that has not been started, with more lines for its rabbitmq.conf if given."""
        home.mkdir(parents=True, exist_ok=True)
        amqp, dist, epmd = free_ports(3)
        rabbit = cls(home, (amqp, dist, epmd), f"aldis{secrets.token_hex(4)}@localhost")
        cookie = home / ".erlang.cookie"
        cookie.write_text(base64.b32encode(secrets.token_bytes(15)).decode())
        cookie.chmod(0o400)
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{amqp}\nloopback_users.guest = true\nlog.console = false\nlog.file.level = warning\n"
            f"disk_free_limit.absolute = 50MB\n{config}"
        )
        (home / "enabled_plugins").write_text("[].")
        (home / "env.conf").write_text("")
        return rabbit

    @property
    def described(self) -> str:
        """For another process."""
        return json.dumps([str(self.home), self.ports, self.node])

    @classmethod
    def again(cls, described: str) -> "Rabbit":
        """The broker that another process made."""
        home, ports, node = json.loads(described)
        return cls(Path(home), tuple(ports), node)

    @property
    def port(self) -> int:
        """Where it speaks AMQP, also after a restart."""
        return self.ports[0]

    @property
    def url(self) -> str:
        """As the setting `bus.url`."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def environment(self) -> dict[str, str]:
        """For its scripts: nothing of the machine's own broker comes through."""
        home, (_, dist, epmd) = self.home, self.ports
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return kept | {
            "HOME": str(home),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {LIMITS}",
            "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the broker instead of standing beside it
        }

    def start(self, watched: int) -> None:
        """Start it and wait until it takes connections; it ends with the process `watched`."""
        self.watched = watched
        sbin = scripts()
        assert sbin is not None
        epmd = shutil.which("epmd")
        assert epmd is not None
        if not self._answers(self.ports[2]):
            self._run(watched, "epmd", [epmd, "-port", str(self.ports[2]), "-address", "127.0.0.1"])
            self._await(self.ports[2], "epmd")
        (self.home / "pid").unlink(missing_ok=True)
        self._run(watched, "rabbit", [str(sbin / "rabbitmq-server")])
        self._await(self.port, "rabbit")

    def _run(self, watched: int, name: str, command: list[str]) -> None:
        with (self.home / f"{name}.out").open("ab") as out:
            warden = subprocess.Popen(
                [sys.executable, "-I", str(WARDEN), str(watched), *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._wardens = [each for each in self._wardens if each.poll() is None] + [warden]

    def _await(self, port: int, name: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not self._answers(port):
            if time.monotonic() > end:
                raise TimeoutError(f"{name} did not start: {(self.home / f'{name}.out').read_text()[-2000:]}")
            time.sleep(0.05)

    @staticmethod
    def _answers(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    @property
    def pid(self) -> int:
        """The broker's own process."""
        return int((self.home / "pid").read_text())

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it stop in order."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        os.kill(pid, number)
        end = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.02)

    def end(self) -> None:
        """Kill it and its epmd, and remove what they wrote."""
        for warden in self._wardens:
            warden.terminate()
        for warden in self._wardens:
            warden.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    def leave(self) -> None:
        """Let it run on for other workers: its wardens end it with the run."""
        for warden in self._wardens:
            warden.returncode = 0  # else Python warns of a process that nobody waited for

    def ctl(self, *words: str) -> str:
        """Run rabbitmqctl, which takes a second or two."""
        sbin = scripts()
        assert sbin is not None
        command = [str(sbin / "rabbitmqctl"), "-q", "-n", self.node, *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=60).stdout


def shared(folder: Path, watched: int) -> Rabbit:
    """The run's one broker: whoever comes first starts it, in a folder that all workers know."""
    folder.mkdir(parents=True, exist_ok=True)
    description = folder / "rabbit.json"
    with (folder / "rabbit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if description.exists():
            return Rabbit.again(description.read_text())
        rabbit = Rabbit.made(folder / "rabbit")
        try:
            rabbit.start(watched)
        except BaseException:
            rabbit.end()
            raise
        description.write_text(rabbit.described)
        return rabbit
