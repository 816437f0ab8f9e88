"""The grammar of ``hilum deidentify``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
from pathlib import Path


def rectangle(text: str) -> tuple[int, int, int, int]:
    """Read ``X,Y,WIDTH,HEIGHT`` in pixels."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT in pixels") from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no rectangle inside an image")
    return x, y, width, height


def add_deidentify(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the arguments of ``hilum deidentify``."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="IN", help="folder, file or ZIP")
    parser.add_argument("folder", type=Path, metavar="OUT", help="a new folder")
    add_profile(parser)


def add_export(parser: argparse.ArgumentParser) -> None:
    """Give ``hilum export`` the option to write without identity."""
    group = parser.add_argument_group("without identity")
    group.add_argument(
        "--deidentify",
        action="store_true",
        help="write DICOM without identity (PS3.15): a result to .dcm, or the original images of "
        "a source, or dicom, to a new folder; see hilum deidentify --help",
    )
    add_profile(group)


def add_profile(parser: argparse._ActionsContainer) -> None:
    """Give ``parser`` the options of the profile."""
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="secret that replacements are made from; made if it is not there. With the same key "
        "later images of a patient fall in with earlier ones. Without it nobody can match them",
    )
    parser.add_argument("--subject", default="", metavar="ID", help="the patient's new ID and name")
    dates = parser.add_mutually_exclusive_group()
    dates.add_argument("--keep-dates", action="store_true", help="keep dates and times")
    dates.add_argument(
        "--shift-dates",
        action="store_true",
        help="move all dates of a patient by the same secret number of days",
    )
    for name, what in (
        ("device", "names and numbers of devices"),
        ("institution", "names of institutions"),
        ("patient-characteristics", "sex, age (up to 89), size, weight and the like"),
        ("uids", "UIDs, so that images can be matched with the originals"),
    ):
        parser.add_argument(f"--keep-{name}", action="store_true", help=f"keep {what}")
    parser.add_argument(
        "--clean-descriptions",
        action="store_true",
        help="keep the words of descriptions that name an examination, drop all others",
    )
    parser.add_argument(
        "--accept-pixels",
        action="append",
        default=[],
        metavar="PATH",
        help="a file, folder or ZIP whose pixels you have looked at, or: all",
    )
    parser.add_argument(
        "--blackout",
        action="append",
        default=[],
        type=rectangle,
        metavar="X,Y,WIDTH,HEIGHT",
        help="blacken this part, in pixels, of the accepted images",
    )
