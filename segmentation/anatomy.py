"""Names, colours and SNOMED CT codes of the structures that plans speak of."""

from __future__ import annotations

from segmentation.volume import Label

_KNOWN = (
    Label("liver", (0xB5, 0x65, 0x5B), "10200004"),
    Label("portal_vein", (0x4F, 0x8F, 0xD9), "32764006"),
    Label("hepatic_vein", (0x3B, 0x4B, 0xA8), "8993003"),
    Label("vessels", (0x4F, 0x8F, 0xD9), "59820001"),
    Label("artery", (0xD9, 0x53, 0x4F), "51114001"),
    Label("bile_duct", (0x6F, 0xA8, 0x4F), "28273000"),
    Label("tumor", (0xE8, 0xC5, 0x47), "4147007"),
    Label("gallbladder", (0x7F, 0xA6, 0x50), "28231008"),
    Label("kidney", (0xB9, 0x77, 0x5A), "64033007"),
    Label("spleen", (0x8E, 0x5B, 0x9F), "78961009"),
    Label("pancreas", (0xD9, 0xA3, 0x5B), "15776009"),
    Label("lung", (0x7F, 0xB5, 0xC9), "39607008"),
    Label("bone", (0xE8, 0xDE, 0xC8), "272673000"),
    Label("skin", (0xD9, 0xB4, 0x9A), "39937001"),
    Label("brain", (0xD8, 0xC2, 0xB8), "12738006"),
    Label("remnant", (0xB5, 0x65, 0x5B)),
    Label("specimen", (0xE5, 0xA9, 0x4B)),
)

ANATOMY = {label.name: label for label in _KNOWN}
"""Structure name to label; colours are sRGB, 0 to 255."""


def known_label(name: str) -> Label | None:
    """Return the label of a structure by name, if it is a known one."""
    return ANATOMY.get(name.strip().lower().replace(" ", "_").replace("tumour", "tumor"))
