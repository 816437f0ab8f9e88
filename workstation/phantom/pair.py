"""A made-up kidney donor and recipient as records: no such people exist."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DAY = "2026-03-01"
"""Day of the review of the built-in pair."""

_LAB, _TYPING, _SERUM = "demo laboratory", "demo tissue typing", "demo serum 3"


@dataclass(frozen=True)
class Pair:
    """A donor and a recipient as documents of our JSON."""

    donor: Mapping[str, Any]
    recipient: Mapping[str, Any]


def _value(key: str, value: Any, unit: str = "", source: str = _LAB, **more: Any) -> dict[str, Any]:
    about = {"unit": unit} if unit else {}
    return {"key": key, "value": value} | about | {"date": "2026-02-27", "source": source} | more


def _document(role: str, values: list[dict[str, Any]]) -> dict[str, Any]:
    return {"hilum": "transplant-record", "role": role, "label": f"demo {role}", "values": values}


def pair() -> Pair:
    """Return a pair that passes in part, warns, and leaves some things unknown."""
    donor = [
        _value("abo", "O", confirmed_by="two readers", confirmed_on="2026-02-27"),
        _value("hla_a", "HLA-A*02:01+HLA-A*24:02", source=_TYPING),
        _value("hla_b", "HLA-B*07:02+HLA-B*15:01", source=_TYPING),
        _value("hla_c", "HLA-C*03:04+HLA-C*07:02", source=_TYPING),
        _value("hla_drb1", "HLA-DRB1*04:01+HLA-DRB1*15:01", source=_TYPING),
        _value("hla_dqb1", "HLA-DQB1*03:01/HLA-DQB1*03:02+HLA-DQB1*06:02", source=_TYPING),
        _value("sex", "F", source="admission"),
        _value("age", 52, "a", "admission"),
        _value("height", 168, "cm", "admission"),
        _value("body_weight", 66, "kg", "admission"),
        _value("creatinine", 97, "umol/L"),
        _value("hypertension", "yes", source="history"),
        _value("diabetes", "no", source="history"),
        _value("stroke_death", "yes", source="history"),
        _value("dcd", "no", source="history"),
        _value("diameter_renal_artery", 5.2, "mm", "demo CT"),
        _value("diameter_renal_vein", 11.5, "mm", "demo CT"),
        _value("graft_artery_count", 2, source="demo CT"),
    ]
    recipient = [
        _value("abo", "O", confirmed_by="two readers", confirmed_on="2026-02-20"),
        _value("hla", "A2 A3 B7 B44 Cw5 Cw7 DR4 DR13 DQ6 DQ7", source=_TYPING),
        _value("sex", "M", source="admission"),
        _value("age", 47, "a", "admission"),
        _value("height", 181, "cm", "admission"),
        _value("body_weight", 84, "kg", "admission"),
        _value("diabetes", "no", source="history"),
        _value("prior_transplant", "yes", source="history"),
        _value("dialysis_years", 4.5, "a", "history"),
        _value("unacceptable_antigen", "A1, B8, DQ2", source=_SERUM),
        _value("antibody", "DR15", source=_SERUM, mfi=2300),
        _value("antibody", "B8", source=_SERUM, mfi=9100),
        _value("crossmatch_flow", "negative", source=_SERUM, donor="demo donor"),
        _value("crossmatch_cdc_t", "positive", source="demo serum 1", donor="demo donor")
        | {"date": "2025-11-03"},
        _value("crossmatch_cdc_t", "negative", source=_SERUM, donor="demo donor"),
        _value("diameter_external_iliac_artery", 7.1, "mm", "demo CT"),
        _value("diameter_external_iliac_vein", 13.0, "mm", "demo CT"),
    ]
    return Pair(_document("donor", donor), _document("recipient", recipient))


def write_pair(people: Pair, folder: Path) -> None:
    """Write ``donor.json`` and ``recipient.json`` into ``folder``."""
    for role, document in (("donor", people.donor), ("recipient", people.recipient)):
        text = json.dumps(document, indent=1)
        (folder / f"{role}.json").write_text(text, encoding="utf-8")
