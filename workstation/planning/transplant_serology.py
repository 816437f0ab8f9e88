"""HLA alleles to the antigens that antibodies see: facts of a stated release, nothing guessed."""

from __future__ import annotations

from collections.abc import Iterable

from workstation.planning.tissue_type import shares
from workstation.planning.transplant_dictionary import ALLELES, GROUPS, RELEASE, TABLE

SOURCE = f"WHO antigens by {RELEASE}"
"""Where the table comes from."""

ASSOCIATED = {
    "A203": "A2",
    "A210": "A2",
    "A2403": "A24",
    "B703": "B7",
    "B2708": "B27",
    "B3901": "B39",
    "B3902": "B39",
    "B4005": "B21",
    "B5102": "B51",
    "B5103": "B51",
    "DR103": "DR1",
    "DR1403": "DR14",
    "DR1404": "DR14",
}
"""Associated antigens, variants of the one behind them (rel_ser_ser of the same database)."""

PREFIX = {"DRB1": "DR", "DQB1": "DQ", "DRB3": "DR", "DRB4": "DR", "DRB5": "DR"}

BW4 = frozenset(
    f"B{n}"
    for n in (
        5, 13, 17, 27, 37, 38, 44, 47, 49, 51, 52, 53, 57, 58, 59, 63, 77, 5102, 5103,
    )
) | {"A23", "A24", "A25", "A32"}  # fmt: skip
BW6 = frozenset(
    f"B{n}"
    for n in (
        7, 8, 14, 18, 22, 35, 39, 40, 45, 48, 50, 54, 55, 56, 60, 61, 62, 64, 65, 70, 71, 72,
        75, 76, 78, 81, 703, 2708, 3901, 3902, 4005,
    )
)  # fmt: skip
"""Antigens that carry the epitopes Bw4 and Bw6, as lists of both that were looked up agree; an
antigen that is in neither (B41, B42, B46, B67, B73, B82) is unknown here."""

OTHER_BW = frozenset(
    f"B*{n}"
    for n in (
        "08:02", "08:03", "13:09", "18:06", "18:09", "27:12", "27:18", "44:06", "47:02", "55:03",
        "56:07",
    )
)  # fmt: skip
"""Alleles that carry another epitope than their antigen does, or none of the two."""


def antigens_of(locus: str, fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return the antigens that an allele's protein may carry, none where the table has no row.

    A typing of the first field alone has the antigen of its group, as the table assumes it.
    A null allele (suffix N) carries none and is not asked for here.
    """
    if not fields or not all(field.isdigit() for field in fields[:2]):
        return ()
    group = f"{locus}*{int(fields[0]):02d}"
    prefix = PREFIX.get(locus, locus)
    if len(fields) > 1:
        return tuple(f"{prefix}{n}" for n in ALLELES.get(f"{group}:{int(fields[1]):02d}", ()))
    if group not in TABLE:
        return ()
    assumed = GROUPS.get(group) or GROUPS.get(locus) or str(int(fields[0]))
    return tuple(f"{prefix}{n}" for n in assumed.split("/"))


def related(antigen: str, others: Iterable[str]) -> str:
    """Tell if ``antigen`` is among ``others``: yes, perhaps (broad, split, variant) or no."""
    known = tuple(others)
    found = shares(antigen, known)
    if found != "no":
        return found
    parents = tuple(ASSOCIATED.get(other, other) for other in known)
    return "no" if shares(ASSOCIATED.get(antigen, antigen), parents) == "no" else "perhaps"
