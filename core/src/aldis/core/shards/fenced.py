"""What tells an owner that it is none any more."""


class Fenced(Exception):
    """The shard has a newer owner: this one's writes are refused."""
