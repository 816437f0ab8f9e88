"""The grammar of ``hilum implants``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
from pathlib import Path

MANIFEST_HELP = """manifest.json in FOLDER:
  {"schema": 1, "name": "acme-stems", "title": "ACME stems", "maker": "ACME",
   "regulatory": "what it is cleared for", "material": "Ti-6Al-4V", "unit": "mm",
   "families": [
     {"name": "stem", "title": "Stem, straight", "turns": false,
      "frame": "origin at the neck cut; z up the stem, x medial, y forward",
      "sizes": [{"name": "1", "file": "stem_1.stl"}]}]}
unit is mm, cm or m; turns says that a part looks the same however it is turned about z. The files
are closed STL surfaces or STEP files of one solid (which name their unit themselves) beside the
manifest; nothing in them is run.

"""


def add_implants(parser: argparse.ArgumentParser, epilog: str) -> None:
    """Give ``parser`` the actions of ``hilum implants``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "list the implant libraries with families, sizes and checksums"
    listing = actions.add_parser("list", help=text, description=text, epilog=epilog)
    text = "check a folder of STL or STEP files with a manifest, and keep a copy with checksums"
    adding = actions.add_parser(
        "add",
        help=text,
        description=text,
        epilog=MANIFEST_HELP + epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    adding.add_argument("folder", type=Path, metavar="FOLDER")
    for action in (listing, adding):
        action.add_argument("--json", action="store_true", help="print one JSON document")
