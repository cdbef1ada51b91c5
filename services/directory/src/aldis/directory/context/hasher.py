"""Slow hashes, off the event loop: a few threads, since hashing frees the interpreter lock."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aldis.core.service.metrics import Cell
from aldis.core.xmpp.sasl.scram import SALT_SIZE, verify_password
from aldis.directory.domain.account import Credential
from aldis.directory.domain.passwords import HASHES, PLAIN_HASH, credential, keys


class Hasher:
    """Hashes passwords; how many wait is bounded by the concurrency with which requests are taken."""

    def __init__(self, iterations: int, threads: int, random: Callable[[int], bytes], hashed: Cell) -> None:
        """`hashed` counts slow hashes."""
        self._iterations = iterations
        self._random = random
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hash")
        self._hashed = hashed

    async def credentials(self, password: str) -> Sequence[Credential]:
        """What is kept of a new password: one credential for each hash, each with its own salt."""
        loop = asyncio.get_running_loop()
        self._hashed.n += len(HASHES)
        return await asyncio.gather(
            *(loop.run_in_executor(self._pool, credential, password, self._random(SALT_SIZE), self._iterations, each) for each in HASHES)
        )

    async def fits(self, password: str, kept: Credential) -> bool:
        """Whether it is the password of which this was kept."""
        self._hashed.n += 1
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, verify_password, password, kept.salt, kept.iterations, PLAIN_HASH, keys(kept)
        )

    def close(self) -> None:
        """Let the threads go; what is being hashed is finished, what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
