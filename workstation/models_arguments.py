"""The grammar of ``hilum models``. It imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse


def add_models(parser: argparse.ArgumentParser, epilog: str) -> None:
    """Give ``parser`` the actions of ``hilum models``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text, epilog=epilog)
        added.add_argument("--json", action="store_true", help="print one JSON document")
        return added

    action("list", "list the models with what they take, give and need")
    add = action("add", "add a MONAI bundle or nnU-Net folder; nothing of it is run")
    add.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder, a ZIP, an https address of a ZIP, or zoo:NAME for MONAI's Model Zoo",
    )
    add.add_argument("--sha256", default="", metavar="HEX", help="checksum, for an address")
    add.add_argument("--as", dest="name", default="", metavar="NAME", help="what to call it")
    zoo = action("zoo", "list what MONAI's Model Zoo has")
    for command in (add, zoo):
        command.add_argument("--index", default="", metavar="URL", help="another zoo's index")
    allow = action("allow", "let a model run code that it carries: you trust where it comes from")
    allow.add_argument("name", metavar="NAME")
    allow.add_argument(
        "--old-weights",
        action="store_true",
        help="also read its weights as an old pickle, which may run code too",
    )
    verify = action("verify", "check weights and code of models against the day they were added")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    remove = action("remove", "delete an added model")
    remove.add_argument("name", metavar="NAME")
