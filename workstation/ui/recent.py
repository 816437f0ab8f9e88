"""The cases that were opened last. Only their folders are kept, never who they are about."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from workstation.store import write_json

MOST = 8


def recent_file() -> Path:
    """Return the file that holds the list."""
    return user_state_path("hilum") / "recent.json"


def recent_cases(file: Path) -> list[Path]:
    """Return the folders of the last cases that still exist, latest first."""
    try:
        listed = [Path(text) for text in json.loads(file.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        return []
    return [folder for folder in listed if (folder / "case.json").is_file()]


def remember(file: Path, folder: Path) -> None:
    """Put ``folder`` first in the list; a list that cannot be written is no reason to stop."""
    folder = folder.resolve()
    others = [old for old in recent_cases(file) if old != folder]
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, [str(path) for path in [folder, *others][:MOST]])
