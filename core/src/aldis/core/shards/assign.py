"""Which process shall own which shard: balanced to within one, and whoever owns a shard keeps it if that can be.

Everybody computes it alone, from the same rows. Rendezvous hashing breaks the ties, so that processes that know the same
choose the same.
"""

from collections.abc import Collection, Mapping
from hashlib import blake2b


def score(shard: int, member: str) -> bytes:
    """How much a member wants a shard, compared with the other members (rendezvous hashing, Thaler and Ravishankar, 1998)."""
    return blake2b(f"{shard}\0{member}".encode(), digest_size=8).digest()


def assign(shards: int, members: Collection[str], held: Mapping[int, str]) -> dict[int, str]:
    """The owner of each shard, given who holds what now; what a stranger to `members` holds is free.

    Each member gets the same number, or one more. No shard moves from a member that may keep it.
    """
    if not members:
        return {}
    kept: dict[str, list[int]] = {member: [] for member in members}
    free: list[int] = []
    for shard in range(shards):
        kept.get(held.get(shard, ""), free).append(shard)
    least, more = divmod(shards, len(kept))
    ranked = sorted(kept, key=lambda member: (len(kept[member]), score(-1, member)), reverse=True)
    quota = {member: least + (place < more) for place, member in enumerate(ranked)}
    for member, own in kept.items():
        own.sort(key=lambda shard: (score(shard, member), shard), reverse=True)
        free += own[quota[member] :]
        del own[quota[member] :]
    room = {member: quota[member] - len(own) for member, own in kept.items() if len(own) < quota[member]}
    for shard in sorted(free):
        heir = max(room, key=lambda member: (score(shard, member), member))
        kept[heir].append(shard)
        room[heir] -= 1
        if not room[heir]:
            del room[heir]
    return {shard: member for member, own in kept.items() for shard in own}
