"""The grammar of ``hilum validate``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
from pathlib import Path

ENDINGS = (".pdf", ".json", ".md")


def add_validate(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum validate`` takes."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all that are quick")
    parser.add_argument("--list", action="store_true", help="list the checks, run none")
    parser.add_argument("--data", type=Path, metavar="DIR", help="laboratories' data, real vessels")
    parser.add_argument(
        "--out", type=_report, metavar="FILE.pdf|.json|.md", help="write a report there too"
    )


def _report(text: str) -> Path:
    path = Path(text)
    if path.suffix not in ENDINGS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.absolute().parent}")
    return path
