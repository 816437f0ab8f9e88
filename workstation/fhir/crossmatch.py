"""The result of a crossmatch in a FHIR Observation: which test, which cells, with whose cells.

It is known by its words, since laboratories code it in many ways: a crossmatch by CDC
(complement-dependent cytotoxicity) or by flow cytometry, of T or B cells if it says so. With whose
cells it was done stands in ``Observation.focus`` (FHIR R4: what the observation is about when that
is not the patient, such as a donor) or in a component whose name has the word donor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

CROSSMATCH = re.compile(r"cross[\s-]?match", re.I)
METHODS: Mapping[str, re.Pattern[str]] = {
    "cdc": re.compile(r"\bcdc\b|cytotox", re.I),
    "flow": re.compile(r"\bflow\b|cytometr|\bfcxm\b", re.I),
}
CELLS: Mapping[str, re.Pattern[str]] = {
    "t": re.compile(r"\bT[\s-]?(cell|lymph)", re.I),
    "b": re.compile(r"\bB[\s-]?(cell|lymph)", re.I),
}
RESULTS: Mapping[str, re.Pattern[str]] = {
    "positive": re.compile(r"\bpos(itive)?\b", re.I),
    "negative": re.compile(r"\bneg(ative)?\b|\bnot\s+positive\b", re.I),
}
DONOR = re.compile(r"\bdonor\b", re.I)


def crossmatch_key(words: str) -> str:
    """Return the key of the test that ``words`` name, "" where they do not name exactly one."""
    methods = [name for name, pattern in METHODS.items() if pattern.search(words)]
    cells = [name for name, pattern in CELLS.items() if pattern.search(words)]
    if not CROSSMATCH.search(words) or len(methods) != 1 or len(cells) > 1:
        return ""
    return "_".join(["crossmatch", *methods, *cells])


def crossmatch_result(words: Sequence[str]) -> str:
    """Return positive or negative as all ``words`` say, "" where they say neither or both."""
    found = {_result(text) for text in words} - {""}
    return found.pop() if len(found) == 1 else ""


def _result(text: str) -> str:
    if RESULTS["negative"].search(text):
        also = RESULTS["positive"].search(re.sub(r"(?i)\bnot\s+positive\b", "", text))
        return "both" if also else "negative"
    return "positive" if RESULTS["positive"].search(text) else ""


def cells_of(observation: Mapping[str, Any]) -> str:
    """Return the name of whose cells were used as ``Observation.focus`` displays it, or ""."""
    focus = observation.get("focus")
    parts = focus if isinstance(focus, list) else []
    named = [part.get("display") for part in parts if isinstance(part, dict)]
    words = [name for name in named if isinstance(name, str) and name.strip()]
    return words[0].strip() if len(words) == 1 else ""
