"""A process that dies with the one that started it, however that one ended (prctl(2), PR_SET_PDEATHSIG)."""

import ctypes
import os
import signal
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def die_with(parent: int) -> bool:
    """Be killed when `parent` dies; False if it is dead already, and then the caller ends by itself.

    By SIGKILL, since one that hangs should not outlive it either. The process asks for itself, not the parent between fork and exec,
    where next to nothing may be called.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent
