"""Turn what goes wrong at the start into one line that names the setting and the mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aldis.core.seal import SealError
from aldis.core.service.sections import CommonSettings
from aldis.core.service.settings import SettingsError, show
from aldis.core.storage import MigrationError, StorageUnavailable
from aldis.launcher.failure import Failure

MEND: Final = "see that it is a database of this server, writable, and on a disk with room"


@contextmanager
def explained(settings: CommonSettings) -> Iterator[None]:
    """Raise a `Failure` in place of what an operator can mend; what is our fault passes as it is."""
    try:
        yield
    except SettingsError as error:
        raise Failure(*error.problems, code=2, condition="wrong-settings") from error
    except (StorageUnavailable, MigrationError) as error:
        url = next(shown.value for shown in show(settings) if shown.name == "database.url")
        mend = "" if isinstance(error, MigrationError) else f"; {error.mend or MEND}"
        raise Failure(f"database.url = {url}: {error}{mend}", condition="database") from error
    except SealError as error:
        raise Failure(f"data_dir = {settings.data_dir}: {error}", condition="data-dir") from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(f"data_dir = {settings.data_dir}: {where}{error.strerror or error}; mend it or set another data_dir") from error
