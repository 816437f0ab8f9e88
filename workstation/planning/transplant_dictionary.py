"""The serological antigens of HLA alleles as the WHO nomenclature's table gives them.

Made from ``wmda/rel_dna_ser.txt`` of IPD-IMGT/HLA, the file dated 2013-07-12, and its
``rel_ser_ser.txt`` (github.com/ANHIG/IMGTHLA): every allele with an entry in the column of
unambiguous serology, and those with a possible one. Its rows of A*01, B*41, B*42 and B*44 were
held against the file of release 3.61.0 (2025-07-14), which adds A*01:25 and A*01:139.

An entry is ``ANTIGENS: NUMBERS`` for the second fields that carry it. Where the table gives
possible antigens, or its column of the registries' experts another one, all stand with a
slash: an allele may then carry any of them. What the table only assumes from the first field
is not in here, and unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

RELEASE = "IPD-IMGT/HLA rel_dna_ser of 2013-07-12"

TABLE: Mapping[str, str] = {
    "A*01": "1: 1-3 7 8 19",
    "A*02": "2: 1 2 4-9 11-14 16-18 20-22 24 25 29 31 34 35 41 42 46 49 50 59 66-68 70-74 77-79 "
    "89 90 95 97 105 130 137 138 140 244 393; 203: 3; 210: 10; 2/19: 65",
    "A*03": "3: 1 2 4 5 20 24 45",
    "A*11": "11: 1-5 7-10 12-15 19 25 48",
    "A*23": "23: 1 4 12 18",
    "A*24": "24: 2 4-8 13 14 17 20 21 27 28 37 43 58 76 78 85 129 186; 2403: 3 10 23 33; "
    "9: 19 22; 24/3: 18",
    "A*25": "25: 1 2",
    "A*26": "26: 1-9 22 23 29; 10: 10 15 26",
    "A*29": "29: 1 2 10 16",
    "A*30": "30: 1-4 11 15 17 18",
    "A*31": "31: 1 2 4 5 10 12 23 56",
    "A*32": "32: 1 2 14",
    "A*33": "33: 1 3 5 8 25; 19: 9",
    "A*34": "34: 1 2 4",
    "A*36": "36: 1 3 4",
    "A*43": "43: 1",
    "A*66": "66: 6; 66/26/34: 1; 66/34: 2; 10: 3 8",
    "A*68": "68: 1-5 8 16 33 36; 28: 10 12 17 26",
    "A*69": "69: 1",
    "A*74": "74: 1-3 6 7",
    "A*80": "80: 1",
    "B*07": "7: 2 4-12 14-17 24 26 30 40 46 57 58 70 92; 703: 3; 7/42: 31",
    "B*08": "8: 1-3 7 9 10 15 16 18 29 34 38",
    "B*13": "13: 1 2 8 13; 13/15/21: 4",
    "B*14": "64: 1; 65: 2; 14: 3 6",
    "B*15": "62: 1 4-7 20 25 27 28 30 32 34 35 39 45 48 58 70 71 73 82 84 96 102 107 146; "
    "75: 2 21; 72: 3; 70: 9 37 51 103 220; 71: 10 18; 77: 13; 63: 16 17; 15: 33 55 78 112; "
    "62/75: 8 11 15 31; 62/76: 12 14 19; 62/77: 24; 15/70: 29 52 80 114; 62/72: 46; "
    "15/35/70: 68; 15/71: 93 108; 5/15/70: 23",
    "B*18": "18: 1-6 9",
    "B*27": "27: 1-7 9-14 17 19 20 29 30 38; 7/2708: 8",
    "B*35": "35: 1-20 23 25 27 29 30 32 35 41-44 46 50-52 55 57 60 61 70 80 95; 22/35: 76",
    "B*37": "37: 1 4 8-10",
    "B*38": "38: 1 2 5 12 15; 16: 3 9",
    "B*39": "3901: 1; 3902: 2; 39: 3-6 8-13 15 19 23 24 27 34 41 50",
    "B*40": "60: 1 7 10 14 31 34 48 52 54; 61: 2-4 6 9 11 16 20 27 29 35 50 53 56 70; "
    "40: 47 64 92 124; 40/4005: 5; 21/40: 26; 40/41: 39",
    "B*41": "41: 1-3",
    "B*42": "42: 1 2",
    "B*44": "44: 2-8 10 12-14 17 27 29 31 32 40 43 53-55 59; 12: 15; 44/45: 9; 44/47: 16; "
    "21/44: 42",
    "B*45": "45: 1",
    "B*46": "46: 1-5",
    "B*47": "47: 1-3",
    "B*48": "48: 1 3-5 7 9 10; 48/70: 2; 40/48: 17",
    "B*49": "49: 1 2 5; 47: 7",
    "B*50": "50: 1 4 18; 45/50: 2",
    "B*51": "51: 1 4-9 14 17 18 24 28 29 31 35 43 46; 5102: 2; 5103: 3; 5: 16; 44/51: 42",
    "B*52": "52: 1 4 6-8 12",
    "B*53": "53: 1 7 11 17",
    "B*54": "54: 1 2 11",
    "B*55": "55: 1-4 10 15 22; 22: 5 9 12 16; 54/55/56: 7; 55/56: 8",
    "B*56": "56: 1 2 4 5 7 11 13 15 20 21; 15/22: 3; 22/78: 6; 55/56: 10 12",
    "B*57": "57: 1-4 8 16",
    "B*58": "58: 1 20; 5/17: 8",
    "B*59": "59: 1 2",
    "B*67": "67: 1",
    "B*73": "73: 1",
    "B*78": "78: 1 2",
    "B*81": "81: 1 2",
    "B*82": "82: 1",
    "C*01": "1: 2 3 9",
    "C*02": "2: 2 8 10 20 22",
    "C*03": "10: 2 4 6 26 28 46; 9: 3; 3: 7 9-11 19 24 39 40",
    "C*04": "4: 1 7 10 20",
    "C*05": "5: 1",
    "C*06": "6: 2 5",
    "C*07": "7: 1 2 4-6 12 14 16 30 36-38 40 44 45 49 51 57 62 108",
    "C*08": "8: 1-4 19 43",
    "DQB1*02": "2: 1-3",
    "DQB1*03": "7: 1 4; 8: 2 5 10; 9: 3; 3: 6",
    "DQB1*04": "4: 1 2",
    "DQB1*05": "5: 1-4",
    "DQB1*06": "6: 1-5 8 9 14 25; 1: 11 12",
    "DRB1*01": "1: 1 2 4 7 9 13; 103: 3",
    "DRB1*03": "17: 1 4 10 11 43; 18: 2 3; 3: 5-7 12 14 15 23 36 40",
    "DRB1*04": "4: 1-11 13-17 19-21 23-26 28 29 31 32 42 64; 3/4: 22",
    "DRB1*07": "7: 1 3 4 9",
    "DRB1*08": "8: 1-7 9-14 16-18; 8/11: 31",
    "DRB1*09": "9: 1 5",
    "DRB1*10": "10: 1",
    "DRB1*11": "11: 1-9 11 13-15 19-21 23 25-27 29 37 52 90; 11/13: 16",
    "DRB1*12": "12: 1-3 5 6",
    "DRB1*13": "13: 1-8 10-14 16-20 22 27 29 36 42 52 57 66; 13/14: 54",
    "DRB1*14": "14: 1 2 5-8 10-14 19-22 26 27 29 49 50 54 60 98; 1403: 3; 1404: 4; 8/14: 15; "
    "6: 16-18; 13/14: 53",
    "DRB1*15": "15: 1-7; 2: 8",
    "DRB1*16": "16: 1 2 4 5 9; 2: 3",
    "DRB3*01": "52: 1 6 7 10",
    "DRB3*02": "52: 1-3 7-11",
    "DRB3*03": "52: 1 2",
    "DRB4*01": "53: 1 3 5",
    "DRB5*01": "51: 1 2 7",
    "DRB5*02": "51: 2",
}
"""Locus and first field to the antigens of its alleles."""

GROUPS: Mapping[str, str] = {"B*15": "15/70", "DRB3": "52", "DRB4": "53", "DRB5": "51"}
"""First field, or locus, to the antigens of a typing that says no more, where they are not of
the same number (the table's column of assumed serology)."""


def _listed() -> dict[str, tuple[str, ...]]:
    """Return the table as allele to antigens, both without prefix of the antigen."""
    found: dict[str, tuple[str, ...]] = {}
    for group, entries in TABLE.items():
        for entry in entries.split(";"):
            antigens, _, numbers = entry.partition(":")
            for word in numbers.split():
                first, _, last = word.partition("-")
                for number in range(int(first), int(last or first) + 1):
                    found[f"{group}:{number:02d}"] = tuple(antigens.strip().split("/"))
    return found


ALLELES: Mapping[str, tuple[str, ...]] = _listed()
"""Two-field allele to the numbers of the antigens that it may carry."""
