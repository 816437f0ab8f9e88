"""How a person likes the window, kept between starts."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from workstation.store import write_json

SMALLEST, LARGEST = 0.8, 1.6


@dataclass(frozen=True)
class Settings:
    """Dark or light, text scale (0.8 to 1.6), and whether the stages show their names."""

    dark: bool = True
    scale: float = 1.0
    wide_rail: bool = True


def read_settings(file: Path) -> Settings:
    """Return what is kept in ``file``; what is missing or makes no sense is the default."""
    try:
        kept = json.loads(file.read_text("utf-8"))
        dark, scale, wide = kept["dark"], float(kept["scale"]), kept["wide_rail"]
    except (OSError, ValueError, TypeError, KeyError):
        return Settings()
    if not SMALLEST <= scale <= LARGEST:  # also what is no number
        scale = 1.0
    return Settings(dark is not False, scale, wide is not False)


def keep_settings(file: Path, settings: Settings) -> None:
    """Keep ``settings``; a file that cannot be written is no reason to stop."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, asdict(settings))
