"""ABO compatibility of a donor's organ with a recipient."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from hemodynamics.score import Score
from segmentation.contract import Finding, Severity

ANTIGENS = {"O": set(), "A": {"A"}, "B": {"B"}, "AB": {"A", "B"}}
"""ABO group to the antigens that its cells carry."""


def plain_group(text: object) -> object:
    """Return a group without its Rh factor and in one spelling, such as "A2B" or "O"."""
    if not isinstance(text, str):
        return text
    words = text.upper().replace("0", "O")
    for rh in ("POSITIVE", "NEGATIVE", "POS", "NEG", "RH", "+", "-"):
        words = words.replace(rh, "")
    return words.strip()


Group = Annotated[
    Literal["O", "A", "A1", "A2", "B", "AB", "A1B", "A2B"], BeforeValidator(plain_group)
]


def abo(*, donor: Group, recipient: Group) -> Score:
    """Whether the donor's blood group suits the recipient.

    A2 and A2B organs carry little A antigen: into a recipient without it they need a review
    of the anti-A titre, and are neither compatible nor incompatible by themselves.

    Args:
        donor: O, A, B or AB, or with the subtype A1, A2, A1B, A2B; a Rh factor is left out.
        recipient: likewise.
    """
    given, tolerated = (
        ANTIGENS[group.replace("1", "").replace("2", "")] for group in (donor, recipient)
    )
    foreign = given - tolerated
    if not foreign:
        return Score(None, "compatible")
    if foreign == {"A"} and "2" in donor:
        text = (
            f"a {donor} organ for a recipient of group {recipient} depends on the anti-A titre and "
            "on the rules of the centre"
        )
        return Score(None, "review", findings=(Finding(Severity.WARNING, "a2_donor", text),))
    return Score(None, "incompatible", details={"foreign_antigens": sorted(foreign)})
