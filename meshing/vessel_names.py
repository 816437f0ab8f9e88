"""The names of the ends of a vessel: inlet, outlets, and what a person calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NAME = r"[a-z][a-z0-9_]*"


def named_ends(nodes: Sequence[int], known: Mapping[str, int]) -> dict[str, int]:
    """Return names for the ends of one vessel, the inlet first, that ``known`` does not have.

    The first vessel has an inlet and outlet_1, outlet_2, ...; a further one inlet_2, and so on.
    """
    named: dict[str, int] = {}
    inlets = sum(name.startswith("inlet") for name in known)
    outlets = len(known) - inlets
    for place, node in enumerate(nodes):
        if place == 0:
            named["inlet" if not inlets else f"inlet_{inlets + 1}"] = node
        else:
            named[f"outlet_{outlets + place}"] = node
    return named


def renamed(ends: Mapping[str, int], names: str) -> dict[str, int]:
    """Return the ends with new names, as in "inlet=ica, outlet_1=mca".

    Raises:
        ValueError: if an end is not there, or a new name is used twice or is no name.
    """
    new: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in names.split(","))):
        old, equals, name = (text.strip() for text in part.partition("="))
        if not equals or not re.fullmatch(NAME, name) or name == "wall":
            raise ValueError(
                f"{part!r} does not rename an end; write old=new with small letters, digits and "
                "underscores, such as inlet=ica"
            )
        if old not in ends:
            raise ValueError(f"there is no end {old!r}; the ends are: {', '.join(ends) or 'none'}")
        new[old] = name
    result = {new.get(name, name): node for name, node in ends.items()}
    if len(result) != len(ends):
        raise ValueError(f"the names {names!r} give two ends one name; choose different names")
    return result
