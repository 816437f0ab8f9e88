"""What the images of a donor or a recipient add to the record: volumes, depth, calibres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import ndimage

from meshing.centerline import Branch, Centerline, centerline
from meshing.vessel_tree import NoCenterline
from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, share, silent
from segmentation.volume import Floats, Label, LabelMap
from workstation.clinical import ClinicalValue, moment, ordered
from workstation.planning.resection import Cut, remnant, specimen
from workstation.planning.transplant_person import PersonRecord
from workstation.planning.transplant_rows import STEP_OF_IMAGES
from workstation.planning.transplant_sheet import TransplantError

Part = Literal["specimen", "remnant", "whole liver"]

KEYS = {
    "graft.volume": "graft_volume",
    "graft.remnant_volume": "remnant_volume",
    "graft.ap_depth": "graft_ap_depth_mm",
    "cavity.ap_depth": "cavity_ap_depth_mm",
}
"""Number of a step to the key that it has in a person's record."""

LEAST_VOXELS = 30
"""Smaller parts of a label are no vessel."""

GRAFT_COLOUR = (214, 137, 92)
ARTERIES = ("count_hepatic_artery", "count_renal_artery")
"""Numbers of a donor's arteries, of which each needs an anastomosis."""


def liver_graft(
    liver: LabelMap,
    cut: Cut | None = None,
    *,
    part: Part = "specimen",
    progress: Progress = silent,
) -> LabelMap:
    """Take the part of a donor's liver that becomes the graft.

    Args:
        liver: the donor's liver.
        cut: where it is divided; not needed for a whole liver.
        part: the side of the cut that is transplanted.

    Raises:
        TransplantError: if a part is wanted and there is no cut.
    """
    whole_ml = liver.volume_ml()
    if part == "whole liver":
        taken = replace(liver, numbers=(), findings=())
    elif cut is None:
        raise TransplantError(f"the {part} of the liver needs a cut; add one, or take it whole")
    else:
        taken = (specimen if part == "specimen" else remnant)(liver, cut, progress=progress)
    label = Label("graft", GRAFT_COLOUR, ANATOMY["liver"].code)
    graft = LabelMap(taken.mask(), liver.geometry, {1: label})
    ml = graft.volume_ml()
    source = f"voxel count x voxel volume, {part} of the donor's liver"
    numbers = [Number("volume", ml, "mL", source), _depth(graft, source)]
    if part != "whole liver":
        numbers += [
            Number("remnant_volume", whole_ml - ml, "mL", "liver less graft"),
            Number("remnant_fraction", 100 * (1 - ml / whole_ml), "%", "what the donor keeps"),
        ]
    return replace(graft, numbers=tuple(numbers))


def _depth(organ: LabelMap, source: str) -> Number:
    """Return how deep an organ is from front to back: the extent of its voxels along LPS y."""
    places = organ.geometry.to_world(np.argwhere(organ.mask())[:, ::-1])
    depth = float(np.ptp(places[:, 1])) if len(places) else 0.0
    voxel = float(np.abs(organ.geometry.axes[1]) @ organ.geometry.spacing_mm)
    said = f"extent from front to back; {source}"
    return Number("ap_depth", depth + voxel, "mm", said, depth, depth + 2 * voxel)


def cavity_depth(cavity: LabelMap, *, progress: Progress = silent) -> Measurements:
    """Measure the depth of the cavity that is to take a graft.

    Args:
        cavity: the space, such as that of the recipient's own liver.
    """
    progress(0.1, "measuring")
    return Measurements((_depth(cavity, "space of the recipient's own organ"),))


def vessel_calibres(
    vessels: LabelMap, *, names: str = "", progress: Progress = silent
) -> Measurements:
    """Measure calibre, length and number of each vessel of a label file.

    A label is named as the vessel is (such as hepatic_artery, portal_vein, renal_artery). Each of
    its parts that do not touch counts as one vessel. The calibre is the median of the diameters
    of equal area along the trunk: the widest stretch between two branchings. Its length is that
    of the trunk.

    Args:
        vessels: one label per vessel, its free end as it will be joined.
        names: new names of labels, such as "label 1=portal_vein, label 2=hepatic_artery".

    Raises:
        TransplantError: for names that are not written so.
    """
    known = _renamed(names)
    numbers: list[Number] = []
    findings: list[Finding] = []
    for n, (value, label) in enumerate(sorted(vessels.labels.items())):
        part = share(progress, n, len(vessels.labels))
        part(0.0, label.name)
        name = known.get(label.name.strip().lower(), label.name.strip().lower())
        lines, missed = _lines(vessels, value, part)
        findings += missed
        if lines:
            numbers += _calibre(name.replace(" ", "_").replace("-", "_"), label.name, lines)
    return Measurements(tuple(numbers), tuple(findings))


def _renamed(names: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in names.split(",") if part.strip()]
    wrong = next(("".join(p) for p in pairs if not p[0].strip() or not p[2].strip()), "")
    if wrong:
        raise TransplantError(f"{wrong.strip()!r} renames no label; write LABEL=VESSEL")
    return {old.strip().lower(): new.strip().lower() for old, _, new in pairs}


def _calibre(name: str, label: str, lines: Sequence[Centerline]) -> list[Number]:
    diameters, length = max((_trunk(line) for line in lines), key=lambda t: float(np.median(t[0])))
    low, high = (float(q) for q in np.quantile(diameters, (0.1, 0.9)))
    trunk = f"label {label}: its trunk, the widest stretch between two branchings"
    source = f"{trunk}; diameter of equal area; band: 10 to 90 % along it"
    return [
        Number(f"diameter_{name}", float(np.median(diameters)), "mm", source, low, high),
        Number(f"length_{name}", length, "mm", f"{trunk}; along its centerline"),
        Number(f"count_{name}", float(len(lines)), "", f"label {label}: parts that do not touch"),
    ]


def _trunk(line: Centerline) -> tuple[Floats, float]:
    """Return diameters (mm) along the widest branch and its length (mm).

    A branch that is shorter than it is wide is no trunk, unless there are no others.
    """
    found = [_stretch(line, branch) for branch in line.branches]
    long = [made for made in found if made[1] >= float(np.median(made[0]))]
    return max(long or found, key=lambda made: float(np.median(made[0])))


def _stretch(line: Centerline, branch: Branch) -> tuple[Floats, float]:
    own = line.point_data["equivalent_diameter_mm"][branch.points]
    away = line.point_data["in_junction"][branch.points] == 0
    diameters = own[np.isfinite(own) & away]
    if not len(diameters):
        diameters = 2 * line.radius_mm[branch.points]
    steps = np.diff(line.points_mm[branch.points], axis=0)
    return diameters, float(np.linalg.norm(steps, axis=1).sum())


def _lines(
    vessels: LabelMap, value: int, progress: Progress
) -> tuple[list[Centerline], list[Finding]]:
    name = vessels.labels[value].name
    parts, count = ndimage.label(vessels.array == value, np.ones((3, 3, 3)))
    lines: list[Centerline] = []
    missed: list[Finding] = []
    for number in range(1, count + 1):
        mask = parts == number
        if np.count_nonzero(mask) < LEAST_VOXELS:
            continue
        one = LabelMap(mask, vessels.geometry, {1: vessels.labels[value]})
        try:
            lines.append(centerline(one, progress=share(progress, number - 1, count)))
        except NoCenterline as error:
            text = f"a part of the label {name} has no centerline: {error}"
            missed.append(Finding(Severity.WARNING, "no_calibre", text))
    if not lines and not missed:
        text = f"the label {name} holds no vessel that could be measured"
        missed.append(Finding(Severity.WARNING, "no_calibre", text))
    return lines, missed


def with_images(
    person: PersonRecord,
    donor_liver: LabelMap | None = None,
    graft: LabelMap | None = None,
    cavity: Measurements | None = None,
    calibres: Measurements | None = None,
    *,
    acquired: str = "",
    progress: Progress = silent,
) -> PersonRecord:
    """Add to a person's record what was measured in the person's images.

    A value of the record stays beside that of the images: the newer one counts, and two of one
    day that differ are a contradiction. Without images the record stays as it is.

    Args:
        person: the record of the donor or the recipient.
        donor_liver: the donor's liver.
        graft: the part of it that is taken (`liver_graft`).
        cavity: the depth of the recipient's cavity (`cavity_depth`).
        calibres: of the person's vessels (`vessel_calibres`).
        acquired: the day of the images, such as 2026-02-27; without it the values count as old.

    Raises:
        TransplantError: if that is no day.
    """
    if acquired and moment(acquired) is None:
        raise TransplantError(f"the day {acquired[:40]!r} is none; write it as 2026-02-27")
    progress(0.5, "reading the measurements")
    found = []
    if donor_liver is not None:
        ml = donor_liver.volume_ml()
        found.append(_read("liver_volume", ml, "mL", "donor_liver", "volume", acquired))
    for step, measured in (("graft", graft), ("cavity", cavity), ("calibres", calibres)):
        for number in measured.numbers if measured is not None else ():
            key = KEYS.get(f"{step}.{number.quantity}") or _vessel_key(number.quantity)
            if key:
                about = (number.value, number.unit, step, number.quantity)
                found.append(_read(key, *about, acquired))
    return replace(person, values=ordered((*person.values, *found)))


def _vessel_key(quantity: str) -> str:
    if quantity.startswith(("diameter_", "length_")):
        return quantity
    return "graft_artery_count" if quantity in ARTERIES else ""


def _read(
    key: str, value: float, unit: str, step: str, quantity: str, acquired: str
) -> ClinicalValue:
    shown = round(value, 4)
    return ClinicalValue(
        key, shown, unit or "1", "", f"{shown:g} {unit}".strip(), "", "", key,
        date=acquired, resource=f"{STEP_OF_IMAGES}{step} ({quantity.replace('_', ' ')})",
    )  # fmt: skip
