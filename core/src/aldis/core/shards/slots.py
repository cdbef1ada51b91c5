"""Which shard a bare JID lives in: 1,024 slots by hash, slots dealt to shards so that a changed count moves few.

The hash is fixed for ever, since stored state and every process must agree on it: CRC-32 of the UTF-8 bytes, modulo
1,024. A slot's shard is the jump consistent hash of the slot, so that going from N to N+1 shards moves 1/(N+1) of them.
"""

import zlib
from functools import lru_cache
from typing import Final

SLOTS: Final = 1024


def slot_of(bare: str) -> int:
    """The slot, 0 to 1,023, of a bare JID in its normal form."""
    return zlib.crc32(bare.encode()) % SLOTS


def _jump(key: int, buckets: int) -> int:
    """Jump consistent hash (Lamping and Veach, 2014)."""
    key = (key + 1) * 0x9E3779B97F4A7C15 % 2**64  # spread the small slot numbers over 64 bits
    here, ahead = -1, 0
    while ahead < buckets:
        here = ahead
        key = (key * 2862933555777941757 + 1) % 2**64
        ahead = int((here + 1) * (2**31 / ((key >> 33) + 1)))
    return here


@lru_cache(maxsize=16)
def table(shards: int) -> tuple[int, ...]:
    """The shard of every slot when there are `shards` of them."""
    return tuple(_jump(slot, shards) for slot in range(SLOTS))


def shard_of(bare: str, shards: int) -> int:
    """The shard, 0 to `shards` - 1, of a bare JID in its normal form."""
    return 0 if shards == 1 else table(shards)[zlib.crc32(bare.encode()) % SLOTS]
