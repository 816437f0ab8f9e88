"""The grammar of ``hilum simulate-user``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_simulate_user(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum simulate-user`` takes."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="DICOM folder, ZIP or file")
    parser.add_argument(
        "reference", type=Path, metavar="REFERENCE", help="label file, taken as true"
    )
    parser.add_argument(
        "--label", default="", metavar="V", help="value or name in REFERENCE (default: all as one)"
    )
    parser.add_argument(
        "--prompts", type=_count, default=10, metavar="N", help="at most so many (default: 10)"
    )
    parser.add_argument(
        "--method",
        default="prompted",
        metavar="M",
        help="prompted (default), grow or another that takes points",
    )
    parser.add_argument(
        "--clicks", action="store_true", help="clicks only; default: strokes within a slice"
    )
    parser.add_argument(
        "--stroke-mm", type=float, default=60.0, help="longest stroke (default: 60 mm)"
    )
    parser.add_argument("--series", metavar="UID", help="which series, where there are several")
    parser.add_argument("--out", type=Path, metavar="LABEL", help="write the last result there")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of prompts, 1 or more")
    return int(text)
