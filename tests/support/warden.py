"""Runs a program for the tests and kills it with all that it started when the tests are gone, however they ended.

    python -I warden.py WATCHED COMMAND…    (-I: modules of ours bear names of the standard library)

WATCHED is the process whose life the program's hangs on: with several test workers the one that started them, so that
they can share a server. It is watched by a pidfd (pidfd_open(2)), which no other process can take over as it can a number.
"""

import os
import select
import signal
import subprocess
import sys


def main(watched: int, command: list[str]) -> int:
    """Run the command until it ends or the watched process does."""
    try:
        tests = os.pidfd_open(watched)
    except ProcessLookupError:
        return 1
    child = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
    asked, ask = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.close(ask))
    poll = select.poll()
    for end in (tests, os.pidfd_open(child.pid), asked):
        poll.register(end, select.POLLIN)
    poll.poll()
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C is for the tests; what they start ends with them
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
