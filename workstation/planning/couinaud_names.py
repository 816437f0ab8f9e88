"""The names that branches and territories of the liver can have, with codes and colours.

Segments follow Couinaud; their codes are those of SNOMED CT in DICOM's context group 7170.
"""

from __future__ import annotations

from typing import Literal

from segmentation.volume import Label

BranchName = Literal[
    "none",
    "I",
    "II",
    "III",
    "IV",
    "V",
    "VI",
    "VII",
    "VIII",
    "right_hepatic_vein",
    "middle_hepatic_vein",
    "left_hepatic_vein",
    "inferior_right_hepatic_vein",
    "right_anterior_sector",
    "right_posterior_sector",
    "right_lobe",
    "left_lateral_sector",
    "left_lobe",
    "whole_liver",
]

SEGMENTS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")

AREAS = {
    "right_anterior_sector": ("V", "VIII"),
    "right_posterior_sector": ("VI", "VII"),
    "right_lobe": ("V", "VI", "VII", "VIII"),
    "left_lateral_sector": ("II", "III"),
    "left_lobe": ("II", "III", "IV"),
    "whole_liver": ("II", "III", "IV", "V", "VI", "VII", "VIII"),
}
"""Sectors and lobes with their segments, for trees whose branches do not tell those apart."""

TERRITORIES: dict[int, Label] = {
    1: Label("I", (0x9C, 0x75, 0x5F), "71133005"),
    2: Label("II", (0x59, 0xA1, 0x4F), "277956007"),
    3: Label("III", (0xED, 0xC9, 0x48), "277957003"),
    4: Label("IV", (0xE1, 0x57, 0x59), "277958008"),
    5: Label("V", (0x76, 0xB7, 0xB2), "277959000"),
    6: Label("VI", (0xB0, 0x7A, 0xA1), "277960005"),
    7: Label("VII", (0xF2, 0x8E, 0x2B), "277961009"),
    8: Label("VIII", (0x4E, 0x79, 0xA7), "277962002"),
    9: Label("right_hepatic_vein", (0x2E, 0x4B, 0xB8)),
    10: Label("middle_hepatic_vein", (0x8A, 0x3F, 0xB8)),
    11: Label("left_hepatic_vein", (0x1F, 0x8F, 0x96)),
    12: Label("inferior_right_hepatic_vein", (0x7B, 0x86, 0xD9)),
    13: Label("right_anterior_sector", (0xF4, 0xA2, 0xC0)),
    14: Label("right_posterior_sector", (0xC9, 0xB5, 0x8B)),
    15: Label("right_lobe", (0x8C, 0xB4, 0xDE)),
    16: Label("left_lateral_sector", (0xA8, 0xC9, 0x6A)),
    17: Label("left_lobe", (0xA8, 0xD5, 0xBA)),
    18: Label("whole_liver", (0x93, 0xA1, 0xAF)),
}
"""Value in the point data ``territory`` of a tree, and in a map of territories, to its label."""

VALUES = {label.name: value for value, label in TERRITORIES.items()}
