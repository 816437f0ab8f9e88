"""The pages of a report about a resection: pictures, margin, volumes, vessels and forecast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Table

from meshing.centerline import Centerline
from segmentation.volume import LabelMap
from workstation.planning.number_limits import limits_of
from workstation.planning.plan import Plan
from workstation.planning.resection import Cut
from workstation.planning.vein_changes import dissected_mm
from workstation.planning.vein_crossings import Crossing, crossed_branches
from workstation.planning.vein_division import divided_by
from workstation.report_layout import (
    Picture,
    readable,
    shown_band,
    shown_value,
    table,
    text,
)
from workstation.resection_pictures import resection_pictures

Numbers = Mapping[str, Mapping[str, Any]]

MARGIN = {
    "margin.minimum": "Smallest distance tumour to cut",
    "margin_map.risk_share": "Tumour surface in the risk band",
    "margin_map.safety_share": "Tumour surface in the safety band",
    "specimen.volume": "Specimen",
    "specimen.fraction": "Specimen, share of the liver",
    "remnant.volume": "Remnant",
    "flr.volume": "Remnant without tumour",
    "devascularised.volume": "Of the remnant, loses its portal blood",
    "devascularised.fraction": "the same, share of the remnant",
    "devascularised.volume_if_divided": "the same, were no stem freed of the specimen",
    "devascularised.dissected": "Portal stems that are freed of the specimen, length",
    "devascularised.dissected_to_tumor": "from the tumour to their wall",
    "congested.volume": "Of the remnant, loses its drainage",
    "congested.fraction": "the same, share of the remnant",
    "congested.volume_if_divided": "the same, were no stem freed of the specimen",
    "congested.dissected": "Hepatic veins that are freed of the specimen, length",
    "congested.dissected_to_tumor": "from the tumour to their wall",
}
REMNANT = {
    "flr.total": "by the measured liver volume",
    "flr.standard_vauthey": "by the standard liver volume (Vauthey)",
    "flr.standard_urata": "by the standard liver volume (Urata)",
    "flr.body_weight": "by the body weight",
    "liver_function.icg_k_remnant": "ICG clearance of the remnant",
}
FORECAST = {
    "": "Portal pressure",
    "gradient": "Portocaval gradient",
    "portal_flow": "Portal flow",
    "arterial_flow": "Hepatic artery flow",
    "portal_flow_per_100_ml": "Portal flow per 100 mL liver",
    "arterial_flow_per_100_ml": "Artery flow per 100 mL liver",
    "arterial_pressure": "Arterial pressure",
}
BESIDE = {
    "after_widened": "Portal pressure, if the liver's veins widen as those of cats",
    "after_four_resistors": "Portal pressure, four resistors between fixed pressures",
}
FUNCTION = {
    "icg_k": "ICG clearance",
    "icg_r15": "ICG after 15 min",
    "icg_k_remnant": "ICG clearance of the remnant",
    "albi": "ALBI",
    "meld": "MELD",
    "meld_na": "MELD-Na",
    "meld_3": "MELD 3.0",
    "child_pugh": "Child-Pugh",
}
STATES = {"kept": "kept", "in doubt": "<b>! band passes it</b>", "passed": "<b>▲ passed</b>"}
TREES = {"portal_tree": "portal", "hepatic_tree": "hepatic vein"}
MOST_CROSSINGS = 14
PRESSURE, FUNCTION_STEP = "portal_pressure", "liver_function"
ASSUMED = (
    "proposed",
    "assumed",
    "inputs",
    "automatic",
    "_named",
    "told_apart",
    "suggested",
    "_freed",
)
"""What the codes of findings hold that tell what a plan took for granted or lacked."""


def is_resection(values: Mapping[str, object]) -> bool:
    """Tell whether a plan cuts an organ into specimen and remnant, and both are there."""
    return isinstance(values.get("cut"), Cut) and {"specimen", "remnant"} <= values.keys()


def resection_pages(
    plan: Plan, values: Mapping[str, object], summary: Mapping[str, Any]
) -> list[Flowable]:
    """Return the pages about a resection, as far as the plan computed them."""
    numbers = {number["name"]: number for number in summary["numbers"]}
    return [
        *_pictures(values),
        *_plain(plan, numbers),
        *_limited(plan, numbers),
        *_function(numbers, summary),
        *_crossings(plan, values),
        *_territories(values),
        *_forecast(numbers, summary),
        *_assumed(summary),
    ]


def _pictures(values: Mapping[str, object]) -> list[Flowable]:
    cells = [
        [Picture(pixels, 87 * mm), text(escape(caption), "caption")]
        for caption, pixels in resection_pictures(values)
    ]
    if not cells:
        return []
    cells += [[]] * (len(cells) % 2)
    rows = [cells[n : n + 2] for n in range(0, len(cells), 2)]
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    grid = Table(rows, colWidths=[89 * mm, 89 * mm], style=style)
    return [CondPageBreak(220 * mm), text("The resection", "heading"), grid]


def _plain(plan: Plan, numbers: Numbers) -> list[Flowable]:
    rows = [
        [
            text(title, "small"),
            text(shown_value(numbers[name]), "right"),
            text(shown_band(numbers[name]), "small"),
            text(" ".join(_against(name, plan, numbers[name])), "small"),
        ]
        for name, title in MARGIN.items()
        if name in numbers
    ]
    if not rows:
        return []
    head = _heads("margin and volumes", "> ", "band", "limit")
    title = text("Margin and volumes", "heading")
    return [KeepTogether([title, _ruled(head, rows, (64, 28, 40, 46))])]


def _against(name: str, plan: Plan, record: Mapping[str, Any]) -> list[str]:
    return [
        f"{STATES[limit.kept(record)]}: {limit.side} {limit.value:g} {record['unit']}, "
        f"{escape(limit.words)}"
        for limit in limits_of(name, plan)
    ]


def _heads(*words: str) -> list[Any]:
    """Return the heads of columns; one that begins with ">" stands over numbers."""
    return [
        text(f"<b>{word[1:]}</b>", "right") if word.startswith(">") else text(word, "head")
        for word in words
    ]


def _limited(plan: Plan, numbers: Numbers) -> list[Flowable]:
    """Return the remnant by each measure, beside every limit that was published for it."""
    rows: list[list[Any]] = []
    for name, title in REMNANT.items():
        record = numbers.get(name)
        for n, limit in enumerate(limits_of(name, plan) if record is not None else ()):
            assert record is not None
            unit = record["unit"]
            rows.append(
                [
                    text(title if n == 0 else "", "small"),
                    text(shown_value(record) if n == 0 else "", "right"),
                    text(f"{limit.side} {limit.value:g} {unit}", "small"),
                    text(STATES[limit.kept(record)], "small"),
                    text(escape(limit.words), "small"),
                ]
            )
    missing = [title for name, title in REMNANT.items() if name not in numbers]
    if not rows:
        return []
    head = _heads("remnant", "> ", "limit", "", "of whom, and source")
    lacks = f"Not known: {'; '.join(missing)}. See what was not entered below." if missing else ""
    return [
        KeepTogether(
            [
                text("Future liver remnant beside its limits", "heading"),
                _ruled(head, rows, (50, 18, 26, 22, 62)),
                text(lacks, "caption"),
            ]
        )
    ]


def _crossings(plan: Plan, values: Mapping[str, object]) -> list[Flowable]:
    """Return every branch that the cut crosses, the widest first."""
    found = [
        (crossing.diameter_mm, crossing.name, words, crossing.point_mm)
        for output, words in TREES.items()
        for crossing in _divided(plan, values, output)
    ]
    if not found:
        return []
    found.sort(key=lambda crossing: -crossing[0])
    rows: list[list[Any]] = [
        [
            text(escape(readable(name)) or "no name", "small"),
            text(words, "small"),
            text(f"{diameter:.1f} mm", "right"),
            text(", ".join(f"{part:.0f}" for part in place), "right"),
        ]
        for diameter, name, words, place in found[:MOST_CROSSINGS]
    ]
    rest = found[MOST_CROSSINGS:]
    more = f"{len(rest)} more, none wider than {rest[0][0]:.1f} mm. " if rest else ""
    note = "Diameters are those of the largest ball inside the vessel there; places are LPS mm."
    head = _heads("branch", "tree", ">diameter", ">where")
    return [
        CondPageBreak(60 * mm),
        text(f"Vessels that the cut crosses: {len(found)}", "heading"),
        _ruled(head, rows, (70, 36, 30, 42)),
        text(more + note, "caption"),
    ]


def _divided(plan: Plan, values: Mapping[str, object], output: str) -> tuple[Crossing, ...]:
    """Return where the cut divides the branches of a tree, by the rule that its losses follow."""
    tree, cut, liver = values.get(output), values.get("cut"), values.get("liver")
    if not isinstance(tree, Centerline) or not isinstance(cut, Cut):
        return ()
    if not isinstance(liver, LabelMap):
        return crossed_branches(tree, cut.distance_mm, cut.side_mm)
    tumor = values.get("tumor")
    lesion = tumor if isinstance(tumor, LabelMap) else None
    return divided_by(cut, liver, tree, lesion, dissected_mm(plan, output)).crossings


def _territories(values: Mapping[str, object]) -> list[Flowable]:
    """Return the territories with their volumes and how much of each stays."""
    labels, remnant = values.get("territories"), values.get("remnant")
    if not isinstance(labels, LabelMap) or not isinstance(remnant, LabelMap):
        return []
    if labels.geometry != remnant.geometry:
        return []
    stays = np.bincount(labels.array[remnant.array > 0], minlength=256)
    whole = np.bincount(labels.array.ravel(), minlength=256)
    each = labels.geometry.voxel_ml
    total = max(int(whole[list(labels.labels)].sum()), 1)
    rows: list[list[Any]] = [
        [
            text(escape(readable(label.name)), "small"),
            text(shown_value({"value": each * whole[value], "unit": "mL"}), "right"),
            text(f"{100 * whole[value] / total:.1f} %", "right"),
            text(shown_value({"value": each * stays[value], "unit": "mL"}), "right"),
            text(f"{100 * stays[value] / whole[value]:.0f} %", "right"),
        ]
        for value, label in labels.labels.items()
        if whole[value]
    ]
    heads = _heads("territory", ">volume", ">of the liver", ">stays", ">of the territory")
    return [
        KeepTogether(
            [
                text("Territories", "heading"),
                _ruled(heads, rows, (58, 30, 30, 30, 30)),
                text("Each voxel counts to its nearest named branch.", "caption"),
            ]
        )
    ]


def _function(numbers: Numbers, summary: Mapping[str, Any]) -> list[Flowable]:
    """Return the scores of liver function, what they mean and where they come from."""
    said = {f["code"]: f["sentence"] for f in summary["findings"] if f.get("step") == FUNCTION_STEP}
    rows = []
    for name, title in FUNCTION.items():
        number = numbers.get(f"{FUNCTION_STEP}.{name}")
        if number is not None:
            meaning = said.get(name, "").partition(": ")[2].rstrip(".")
            cells = (title, meaning, number["source"])
            first, *others = (text(escape(cell), "small") for cell in cells)
            rows.append([first, text(shown_value(number), "right"), *others])
    if not rows:
        return []
    table_of = _ruled(_heads("liver function", "> ", "", "source"), rows, (48, 26, 22, 82))
    return [KeepTogether([text("Liver function", "heading"), table_of])]


def _forecast(numbers: Numbers, summary: Mapping[str, Any]) -> list[Flowable]:
    """Return the circulation before and after, what it rests on, and what limits say."""
    told = [f for f in summary["findings"] if f.get("step") == PRESSURE]
    rows: list[list[Any]] = []
    for name, title in FORECAST.items():
        pair = [numbers.get(f"{PRESSURE}.{f'{name}_{when}'.lstrip('_')}")
                for when in ("before", "after")]  # fmt: skip
        if pair[1] is not None:
            cells = [part for number in pair for part in _with_band(number)]
            rows.append([text(title, "small"), *cells])
    for name, title in BESIDE.items():
        number = numbers.get(f"{PRESSURE}.{name}")
        if number is not None:
            rows.append([text(title, "small"), "", "", *_with_band(number)])
    if not rows and not told:
        return []
    head = _heads("", ">before", "band", ">after", "band")
    body = [_ruled(head, rows, (48, 26, 39, 26, 39))] if rows else []
    said = [text(f"{escape(f['sentence'])}", "small") for f in told]
    title = text("Portal pressure after the resection: a forecast", "heading")
    return [CondPageBreak(70 * mm), title, *body, *said]


def _with_band(number: Mapping[str, Any] | None) -> list[Any]:
    if number is None:
        return ["", ""]
    band = "measured" if number["source"].startswith("measured") else shown_band(number)
    return [text(shown_value(number), "right"), text(band, "small")]


def _assumed(summary: Mapping[str, Any]) -> list[Flowable]:
    """Return what the plan proposed, took for granted or lacked."""
    found = [
        f
        for f in summary["findings"]
        if f.get("step") != PRESSURE and any(part in f.get("code", "") for part in ASSUMED)
    ]
    if not found:
        return []
    rows = [[text(escape(readable(f["step"])), "small"), text(escape(f["sentence"]), "small")]
            for f in found]  # fmt: skip
    heads = _heads("result", "what was proposed, assumed or not entered")
    story: list[Flowable] = [text("What this plan rests on", "heading")]
    return [CondPageBreak(40 * mm), *story, _ruled(heads, rows, (34, 144))]


def _ruled(head: Sequence[Any], rows: Iterable[Sequence[Any]], widths_mm: Sequence[float]) -> Table:
    return table([list(head), *map(list, rows)], widths_mm, head=True)
