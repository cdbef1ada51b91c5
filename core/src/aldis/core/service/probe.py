"""Ask the process on this machine how it is, where there is no curl: `python -m aldis.core.service.probe /readyz`."""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

PORT: Final = 5291
SECONDS: Final = 4.0


def probe(path: str, environ: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the answer is good, and what it says."""
    port = environ.get("ALDIS_METRICS__PORT", "")
    connection = http.client.HTTPConnection("127.0.0.1", int(port) if port.isdigit() else PORT, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status == http.client.OK, answer.read(4096).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, str(error) or type(error).__name__
    finally:
        connection.close()


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Say what was answered; 0 if it is good."""
    good, text = probe(arguments[0] if arguments else "/healthz", environ)
    sys.stdout.write(f"{text}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
