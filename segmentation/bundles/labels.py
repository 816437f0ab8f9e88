"""The labels of a bundle: names from its metadata, SNOMED CT codes and colours."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping
from typing import Any

from segmentation.anatomy import known_label
from segmentation.volume import Label

BACKGROUND = ("background", "bg", "everything else")
GOLDEN = 0.618033988749895
SIDES = re.compile(r"\b(left|right)\b")

CODES = {
    "kidney": "64033007",
    "stomach": "69695003",
    "aorta": "15825003",
    "inferior vena cava": "64131007",
    "superior vena cava": "48345005",
    "portal vein and splenic vein": "32764006",
    "adrenal gland": "23451007",
    "esophagus": "32849002",
    "trachea": "44567001",
    "heart": "80891009",
    "pulmonary artery": "81040000",
    "pulmonary vein": "122972007",
    "iliac artery": "73634005",
    "iliac vena": "46027005",
    "small bowel": "30315005",
    "duodenum": "38848004",
    "colon": "71854001",
    "rectum": "34402009",
    "humerus": "85050009",
    "scapula": "79601000",
    "clavicula": "51299004",
    "femur": "71341001",
    "hip": "29836001",
    "sacrum": "54735007",
    "sternum": "56873002",
    "skull": "89546000",
    "spinal cord": "2748008",
    "thyroid gland": "69748006",
    "urinary bladder": "89837001",
    "bladder": "89837001",
    "prostate": "41216001",
    "vertebrae c1": "14806007",
    "vertebrae c2": "39976000",
    "vertebrae c3": "113205007",
    "vertebrae c4": "5329002",
    "vertebrae c5": "36978003",
    "vertebrae c6": "36054005",
    "vertebrae c7": "87391001",
    "vertebrae t1": "64864005",
    "vertebrae t2": "53733008",
    "vertebrae t3": "1626008",
    "vertebrae t4": "73071006",
    "vertebrae t5": "56401006",
    "vertebrae t6": "45296009",
    "vertebrae t7": "62487009",
    "vertebrae t8": "11068009",
    "vertebrae t9": "82687006",
    "vertebrae t10": "7610001",
    "vertebrae t11": "12989004",
    "vertebrae t12": "23215003",
    "vertebrae l1": "66794005",
    "vertebrae l2": "14293000",
    "vertebrae l3": "36470004",
    "vertebrae l4": "11994002",
    "vertebrae l5": "49668003",
}
"""Structure to SNOMED CT identifier; a side is told by the name, not by the code."""


def channel_names(outputs: Mapping[str, Any]) -> dict[int, str]:
    """Return channel or label value to name, as ``channel_def`` or ``label_def`` tells them."""
    table = outputs.get("channel_def") or outputs.get("label_def") or {}
    if not isinstance(table, dict):
        return {}
    return {int(n): str(name) for n, name in table.items() if str(n).isdecimal()}


def is_background(name: str) -> bool:
    """Tell whether a channel is that of nothing."""
    return name.strip().lower() in BACKGROUND


def labels_of(outputs: Mapping[str, Any]) -> dict[int, Label]:
    """Return label value to label.

    Where channels are told apart by a threshold and none is background, the first channel is
    label 1. ``outputs`` may carry ``label_codes`` and ``label_colours`` (value to SNOMED CT
    identifier, and to sRGB), which come before what is known by name.
    """
    names = channel_names(outputs)
    shift = 1 if overlapping(outputs) else 0
    codes, colours = outputs.get("label_codes", {}), outputs.get("label_colours", {})
    found = {}
    for value, name in names.items():
        if is_background(name) or value + shift == 0:
            continue
        label = describe(name, value)
        code = str(codes.get(str(value), label.code))
        r, g, b = colours.get(str(value), label.colour)
        found[value + shift] = Label(label.name, (int(r), int(g), int(b)), code)
    return found


def overlapping(outputs: Mapping[str, Any]) -> bool:
    """Tell whether the channels are structures each, none of them background."""
    names = channel_names(outputs)
    return bool(names) and 0 in names and not is_background(names[0])


def describe(name: str, value: int) -> Label:
    """Return the label of a structure: known colour and code, or a colour of its own."""
    plain = " ".join(name.replace("_", " ").lower().split())
    middle = " ".join(SIDES.sub(" ", plain).split())
    known = known_label(plain) or known_label(middle) or known_label(f"{middle}s")
    code = (known.code if known else "") or CODES.get(plain) or CODES.get(middle, "")
    own = re.sub(r"\W+", "_", plain).strip("_") or f"label_{value}"
    return Label(own, known.colour if known else colour_of(value), code)


def colour_of(value: int) -> tuple[int, int, int]:
    """Return a colour that differs from those of the neighbouring values."""
    r, g, b = colorsys.hsv_to_rgb((value * GOLDEN) % 1.0, 0.55, 0.85)
    return round(255 * r), round(255 * g), round(255 * b)
