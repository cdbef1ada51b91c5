"""`aldis migrate`: bring the database to the shape that this version needs, or say what that would take."""

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

from aldis.launcher.configuration import load_settings
from aldis.launcher.failure import Failure
from aldis.launcher.lock import locked
from aldis.launcher.output import say

if TYPE_CHECKING:
    from aldis.launcher.settings import AldisSettings


def run(options: argparse.Namespace) -> int:
    """Migrate a file under its directory's lock; a server has one of its own. `--check` looks only, beside whatever runs."""
    settings = load_settings(options.config)
    if options.check and options.after_restore:
        raise Failure("--check changes nothing and --after-restore does; give one of them", code=2, condition="bad-request")
    if options.check:
        files = asyncio.run(_pending(settings))
    elif not settings.database.is_file:
        files = asyncio.run(_migrate(settings, after_restore=options.after_restore))
    else:
        with locked(settings.data_dir, "aldis migrate", patience=15.0):
            files = asyncio.run(_migrate(settings, after_restore=options.after_restore))
    if options.json:
        say(json.dumps({"ok": not (options.check and files), "pending" if options.check else "applied": files}))
    elif options.after_restore:
        say(
            "\n".join([*(f"applied: {file}" for file in files), "raised every epoch: what is left of the time since the backup is refused"])
        )
    else:
        word = "pending" if options.check else "applied"
        say("\n".join(f"{word}: {file}" for file in files) or "nothing to do")
    return 1 if options.check and files else 0


async def _pending(settings: "AldisSettings") -> list[str]:
    from aldis.core.storage import Database  # noqa: PLC0415  SQLAlchemy is heavy
    from aldis.core.storage.migrations import pending  # noqa: PLC0415
    from aldis.launcher.explain import explained  # noqa: PLC0415
    from aldis.launcher.store import migration_sets  # noqa: PLC0415

    sets = migration_sets()
    with explained(settings):
        database = Database(settings.database.url.get_secret_value())
        if database.missing():
            return [f"{migrations.name}/{file.name}" for migrations in sets for file in migrations.files()]
        await database.open()
        try:
            return await pending(database, sets)
        finally:
            await database.close()


async def _migrate(settings: "AldisSettings", *, after_restore: bool) -> list[str]:
    from aldis.core.shards.registry import SqlRegistry  # noqa: PLC0415  SQLAlchemy is heavy
    from aldis.core.storage import Database  # noqa: PLC0415
    from aldis.core.storage.migrations import migrate  # noqa: PLC0415
    from aldis.launcher.explain import explained  # noqa: PLC0415
    from aldis.launcher.store import migration_sets  # noqa: PLC0415

    database = Database(settings.database.url.get_secret_value())
    with explained(settings):
        try:
            await database.open()
            files = [f"{applied.service}/{applied.file}" for applied in await migrate(database, migration_sets())]
            if after_restore and (alive := await SqlRegistry(database).restored()):
                raise Failure(f"{len(alive)} processes use this database ({', '.join(alive)}); stop them, wait 10 s and try again")
            return files
        finally:
            await database.close()
