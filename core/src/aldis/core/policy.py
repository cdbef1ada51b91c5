"""The seam of security policy: every delivery path asks it before it hands a stanza on."""

from typing import Protocol


class Policy(Protocol):
    """Decides on a label; called on the path of every stanza, so it answers at once and from memory."""

    def authorize(self, label: str, sender: str, recipient: str) -> bool:
        """May what this sender labelled so go to this recipient? `label` is a digest, empty if there is no label."""


class NoPolicy:
    """No security policy: everything may go everywhere."""

    def authorize(self, label: str, sender: str, recipient: str) -> bool:
        """Allow."""
        return True
