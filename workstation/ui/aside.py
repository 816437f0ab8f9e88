"""Commands of ``hilum`` in a process of their own: what renders may do so on one thread only."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from segmentation.contract import Progress
from workstation.jobs import Cancelled

POLL_S = 0.2


def run_aside(arguments: Sequence[str], doing: str, progress: Progress) -> list[str]:
    """Run ``hilum`` with ``arguments``; return the lines that it prints.

    ``doing`` tells a person what it does.

    Raises:
        RuntimeError: with what the process said, if it fails.
    """
    command = [sys.executable, "-P", "-m", "workstation", *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        with subprocess.Popen(
            command, stdout=printed, stderr=subprocess.PIPE, text=True
        ) as process:
            said = ""
            try:
                while process.returncode is None:
                    progress(0.5, doing)
                    with suppress(subprocess.TimeoutExpired):
                        _, said = process.communicate(timeout=POLL_S)
            except Cancelled:
                process.kill()
                raise
        if process.returncode:
            problem = said.rpartition("hilum: ")[2].strip()  # progress was told before
            raise RuntimeError(problem or f"{doing} failed; nothing was written")
        printed.seek(0)
        return printed.read().splitlines()
