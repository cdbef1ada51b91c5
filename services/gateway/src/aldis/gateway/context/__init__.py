"""What features and connections work with: the directory's answers, and a login under way."""

from dataclasses import dataclass

from aldis.core.service.logging import Logger
from aldis.gateway.context.directory import Directory
from aldis.gateway.context.login import Challenge, Login, Success
from aldis.gateway.settings import GatewaySettings

__all__ = ["Challenge", "Context", "Directory", "Login", "Success"]


@dataclass(frozen=True, slots=True)
class Context:
    """One gateway's settings, directory and log."""

    settings: GatewaySettings
    directory: Directory
    log: Logger
