"""The grammar of the commands on the plans of a case. It imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_change(parser: argparse.ArgumentParser, setting: Callable[[str], Any]) -> None:
    """Give ``parser`` what ``hilum change`` takes."""
    parser.add_argument("case", type=Path, metavar="CASE")
    parser.add_argument("settings", nargs="*", type=setting, metavar="STEP.PARAM=VALUE")
    parser.add_argument(
        "--with",
        action="append",
        default=[],
        metavar="OPTION",
        dest="options",
        help="add steps that the plan's template offers: hilum templates lists them",
    )
    parser.add_argument("--plan", metavar="PLAN", help="start from this one (default: the current)")
    parser.add_argument("--keep", metavar="NAME", help="give the new plan a name, such as B")


def add_plans(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum plans`` takes."""
    parser.add_argument("case", type=Path, metavar="CASE")
    acts = parser.add_mutually_exclusive_group()
    acts.add_argument("--keep", metavar="NAME", help="give a plan a name, such as A")
    acts.add_argument(
        "--new", nargs="?", const="", metavar="NAME", help="begin another from the current one"
    )
    acts.add_argument("--rename", nargs=2, metavar=("NAME", "NEW"), help="give it another name")
    acts.add_argument("--remove", metavar="NAME", help="take it from the list")
    acts.add_argument("--switch", metavar="NAME", help="make it the current one")
    acts.add_argument("--undo", action="store_true", help="take back the last change of the case")
    parser.add_argument("--plan", metavar="PLAN", help="with --keep: which (default: the current)")


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum compare`` takes."""
    parser.add_argument("case", type=Path, metavar="CASE")
    parser.add_argument(
        "plans", nargs="*", metavar="PLAN", help="a plan's number or name (default: all named)"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="write a 3D picture of each plan there"
    )
