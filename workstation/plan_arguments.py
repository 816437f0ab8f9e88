"""The grammar of the commands on the plans of a case. It imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_change(parser: argparse.ArgumentParser, setting: Callable[[str], Any]) -> None:
    """Give ``parser`` what ``hilum change`` takes."""
    parser.add_argument("case", type=Path, metavar="CASE")
    parser.add_argument("settings", nargs="+", type=setting, metavar="STEP.PARAM=VALUE")
    parser.add_argument("--plan", metavar="PLAN", help="start from this one (default: the current)")
    parser.add_argument("--keep", metavar="NAME", help="give the new plan a name, such as B")


def add_plans(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum plans`` takes."""
    parser.add_argument("case", type=Path, metavar="CASE")
    parser.add_argument("--keep", metavar="NAME", help="give a plan a name, such as A")
    parser.add_argument("--plan", metavar="PLAN", help="which one (default: the current)")


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``hilum compare`` takes."""
    parser.add_argument("case", type=Path, metavar="CASE")
    parser.add_argument("plans", nargs="+", metavar="PLAN", help="a plan's number or name")
