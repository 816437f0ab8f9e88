"""The grammar of ``hilum align``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
from pathlib import Path

KINDS = ("rigid", "affine", "deformable", "landmarks")


def add_align(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum align`` takes."""
    parser.add_argument("fixed", type=Path, metavar="FIXED", help="DICOM folder, ZIP or file")
    parser.add_argument("moving", type=Path, metavar="MOVING", help="the image to bring onto FIXED")
    parser.add_argument("out", type=Path, metavar="OUT", help="MOVING on the grid of FIXED")
    parser.add_argument("--kind", choices=KINDS, default="rigid", help="default: rigid")
    parser.add_argument(
        "--labels",
        type=Path,
        nargs=2,
        metavar=("LABEL", "MOVED"),
        help="also bring this label file, drawn on MOVING, onto FIXED, and write it there",
    )
    parser.add_argument("--fixed-series", metavar="UID", help="which series, if there are several")
    parser.add_argument("--moving-series", metavar="UID", help="which series, if there are several")
