"""The `aldis` command, so small that Ctrl-C finds nothing half loaded: whatever takes time is imported within the `try`."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Do what the command line says; the exit code."""
    try:
        from aldis.launcher.command import run  # noqa: PLC0415  see above

        return run()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
