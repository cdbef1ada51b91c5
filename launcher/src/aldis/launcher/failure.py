"""What an operator can mend: told in one line each, never with a traceback."""


class Failure(Exception):
    """The command can't be done; `lines` say what is wrong and what to do."""

    def __init__(self, *lines: str, code: int = 1, condition: str = "failed") -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code
        """The exit code: 1 failed, 2 wrong usage or settings."""
        self.condition = condition
        """For programs: a stanza error condition where the directory refused, else a word of the same kind."""
