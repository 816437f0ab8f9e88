"""The grammar of ``hilum score``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_score(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum score`` takes."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="default: list what there is")
    parser.add_argument(
        "values", nargs="*", type=_pair, metavar="KEY=VALUE", help="an input of the score"
    )
    parser.add_argument(
        "--coefficients",
        type=Path,
        metavar="FILE",
        help="JSON with published coefficients and their source, for a model that needs them",
    )


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
