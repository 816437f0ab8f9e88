"""HLA alleles to the antigens that antibodies see: facts of a stated release, nothing guessed."""

from __future__ import annotations

from collections.abc import Iterable

from workstation.planning.tissue_type import shares

SOURCE = "WHO HLA dictionary as kept with IPD-IMGT/HLA (rel_dna_ser), and Marsh 2010"
"""Where the table comes from (doi:10.1111/j.1399-0039.2010.01466.x for splits and epitopes)."""

EXPRESSED = {
    "A": "1 2 3 11 23 24 25 26 29 30 31 32 33 34 36 43 66 68 69 74 80",
    "B": "7 8 13 18 27 35 37 38 39 41 42 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 67 73 "
    "78 81 82",
    "C": "1 2 4 5 6 7 8",
    "DRB1": "1 4 7 8 9 10 11 12 13 14 15 16",
    "DQB1": "2 4 5 6",
}
"""Locus to the allele groups whose well-known members carry the antigen of the same number."""

WELL_KNOWN = 20
"""Alleles of a group up to this number are taken to carry its antigen; rarer ones are unknown,
since the dictionary only expects their antigen."""

EXCEPTIONS = {
    **{
        f"B*15:{n}": "B62"
        for n in [
            "01",
            "04",
            "05",
            "06",
            "07",
            "15",
            "20",
            "24",
            "25",
            "27",
            "28",
            "30",
            "32",
            "34",
            "35",
            "39",
        ]
    },
    **{f"B*15:{n}": "B75" for n in ["02", "08", "11", "21", "31"]},
    **{f"B*15:{n}": "B76" for n in ["12", "14", "19"]},
    "B*13:03": "",
    "B*13:04": "",
    "B*15:03": "B72",
    "B*15:09": "B70",
    "B*15:10": "B71",
    "B*15:18": "B71",
    "B*15:13": "B77",
    "B*15:16": "B63",
    "B*15:17": "B63",
    "B*27:08": "B2708",
    "B*38:03": "B16",
    "B*38:09": "B16",
    "B*39:01": "B3901",
    "B*39:02": "B3902",
    "B*49:07": "B47",
    "B*50:02": "B45",
    "B*51:02": "B5102",
    "B*51:03": "B5103",
    "B*51:16": "B5",
    "B*55:05": "B22",
    "B*55:07": "B54",
    "B*55:08": "B56",
    "B*55:09": "B22",
    "B*55:12": "B22",
    "B*55:16": "B22",
    "B*56:03": "B22",
    "B*56:06": "B78",
    "B*56:10": "B55",
    "B*56:12": "B55",
    "B*58:08": "B17",
    "B*14:01": "B64",
    "B*14:02": "B65",
    "B*40:01": "B60",
    "B*40:02": "B61",
    "C*03:02": "C10",
    "C*03:03": "C9",
    "C*03:04": "C10",
    "DRB1*01:03": "DR103",
    "DRB1*03:01": "DR17",
    "DRB1*03:02": "DR18",
    "DRB1*03:03": "DR18",
    "DRB1*03:04": "DR17",
    "DRB1*03:05": "DR3",
    "DRB1*03:06": "DR3",
    "DRB1*03:07": "DR3",
    "DQB1*03:01": "DQ7",
    "DQB1*03:02": "DQ8",
    "DQB1*03:03": "DQ9",
    "DQB1*03:04": "DQ7",
    "DQB1*03:05": "DQ8",
    "DQB1*03:06": "DQ3",
    "DQB1*03:10": "DQ8",
    "DQB1*06:11": "DQ1",
    "DQB1*06:12": "DQ1",
}
"""Two-field alleles whose antigen has another number than their first field."""

ASSOCIATED = {
    "A203": "A2",
    "A210": "A2",
    "A2403": "A24",
    "B703": "B7",
    "B2708": "B27",
    "B3901": "B39",
    "B3902": "B39",
    "B5102": "B51",
    "B5103": "B51",
    "DR103": "DR1",
    "DR1403": "DR14",
    "DR1404": "DR14",
}
"""Associated antigens, variants of the one behind them (Marsh 2010)."""

PREFIX = {"DRB1": "DR", "DQB1": "DQ", "DRB3": "DR", "DRB4": "DR", "DRB5": "DR"}
SECOND_DR = {"DRB3": "DR52", "DRB4": "DR53", "DRB5": "DR51"}

BW4 = frozenset(
    f"B{n}" for n in (5, 13, 17, 27, 37, 38, 44, 47, 49, 51, 52, 53, 57, 58, 59, 63, 77)
) | {"A23", "A24", "A25", "A32"}
BW6 = frozenset(
    f"B{n}"
    for n in (
        7,
        8,
        14,
        18,
        22,
        35,
        39,
        40,
        41,
        42,
        45,
        46,
        48,
        50,
        54,
        55,
        56,
        60,
        61,
        62,
        64,
        65,
        67,
        70,
        71,
        72,
        73,
        75,
        76,
        78,
        81,
        82,
    )
)
"""Antigens that carry the epitopes Bw4 and Bw6."""


def antigen_of(locus: str, fields: tuple[str, ...]) -> str:
    """Return the antigen that an allele's protein carries, "" where the table does not tell.

    A null allele (suffix N) carries none and is not asked for here.
    """
    if locus in SECOND_DR:
        return SECOND_DR[locus]
    if not fields or not fields[0].isdigit():
        return ""
    if len(fields) == 1:
        return f"{PREFIX.get(locus, locus)}{int(fields[0])}" if _plain(locus, fields[0]) else ""
    if not fields[1].isdigit():
        return ""
    known = EXCEPTIONS.get(f"{locus}*{fields[0]}:{fields[1]}")
    if known is not None:
        return known
    if not _plain(locus, fields[0]) or int(fields[1]) > WELL_KNOWN:
        return ""
    return f"{PREFIX.get(locus, locus)}{int(fields[0])}"


def related(antigen: str, others: Iterable[str]) -> str:
    """Tell if ``antigen`` is among ``others``: yes, perhaps (broad, split, variant) or no."""
    known = tuple(others)
    found = shares(antigen, known)
    if found != "no":
        return found
    parents = tuple(ASSOCIATED.get(other, other) for other in known)
    return "no" if shares(ASSOCIATED.get(antigen, antigen), parents) == "no" else "perhaps"


def _plain(locus: str, group: str) -> bool:
    return str(int(group)) in EXPRESSED.get(locus, "").split()
