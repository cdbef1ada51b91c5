"""A small child for the supervisor's tests: writes down what happens to it, and is ready, late, dead or deaf as it is told."""

import os
import signal
import socket
import sys
import time
from types import FrameType

from aldis.core.service.leash import die_with

NAME, STORY, *HOW = sys.argv[1:]


def tell(what: str) -> None:
    """Add a line to the story that all children share."""
    with open(STORY, "a") as story:  # noqa: PTH123  quick to start matters here
        story.write(f"{what} {NAME} {os.getpid()}\n")


def say(text: str) -> None:
    """Speak to the supervisor."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), f"\0{address[1:]}")


def ended(number: int, frame: FrameType | None) -> None:
    """Leave in order."""
    time.sleep(0.2)  # the one after it would overtake, if nobody waited for this one
    tell("ended")
    sys.exit(0)


def reloaded(number: int, frame: FrameType | None) -> None:
    """Read everything again."""
    tell("reloaded")


signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in HOW else ended)
signal.signal(signal.SIGHUP, reloaded)
if "parent" in HOW and not die_with(os.getppid()):
    sys.exit(1)
tell("began")
if "dies" in HOW:
    sys.exit(3)
if "late" in HOW:
    say("STATUS=bus: waiting for it")
    time.sleep(1.0)
say("READY=1\nSTATUS=ready")
tell("ready")
while True:
    time.sleep(60)
