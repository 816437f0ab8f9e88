"""The grammar of ``hilum repair``, and of surface files that say too little.

It imports nothing heavy, so that --help is instant.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what may be said of a surface file that does not say it itself."""
    parser.add_argument(
        "--unit", choices=("mm", "cm", "m"), help="of a surface file that names none (default: mm)"
    )
    parser.add_argument(
        "--space", choices=("LPS", "RAS"), help="axes of a surface file that names none"
    )


def add_repair(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum repair`` takes besides the parameters of the stage."""
    parser.add_argument("damaged", type=Path, metavar="IN", help="surface file to repair")
    parser.add_argument("surface", type=Path, metavar="OUT", help="surface file to write")
    parser.add_argument(
        "--unit", choices=("mm", "cm", "m"), default="mm", help="of a file that names none"
    )
