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


def options_last(arguments: list[str]) -> list[str]:
    """Return the command line of a score with its options behind its inputs; others as they are.

    argparse refuses inputs behind an option where there may be none before it.
    """
    if arguments[:1] != ["score"]:
        return arguments
    words: list[str] = []
    options: list[str] = []
    rest = iter(arguments[1:])
    for word in rest:
        if word.startswith("-"):
            options.append(word)
            options += [next(rest, "")] if word == "--coefficients" else []
        else:
            words.append(word)
    return ["score", *words, *(part for part in options if part)]


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
