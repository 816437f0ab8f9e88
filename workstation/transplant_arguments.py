"""The grammar of ``hilum compare-donors``. It imports nothing heavy."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TABLES = {
    "codes": "a table of NMDP codes",
    "eplets": "a registry's table of eplets",
    "frequencies": "a table of haplotype frequencies, for cPRA",
}


def add_compare_donors(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum compare-donors`` takes."""
    parser.add_argument(
        "one", type=Path, metavar="RECIPIENT", help="FHIR, our JSON or CSV, or a case"
    )
    parser.add_argument(
        "others", nargs="+", type=Path, metavar="DONOR", help="files, cases, or folders of them"
    )
    for name, words in TABLES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=words)
    parser.add_argument(
        "--reverse", action="store_true", help="RECIPIENT is a donor and each DONOR a recipient"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        type=_pair,
        action="append",
        default=[],
        metavar="PARAM=VALUE",
        help="of planning.transplant_sheet, such as organ=liver or mfi_block=5000",
    )


def _pair(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not PARAM=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
