"""Surfaces of a plan to files for printers, viewers and other tools; a faulty one is held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from meshing.faults import PRINTED, fault_warnings, solid_faults
from meshing.files import Draft, draft_surfaces
from meshing.gltf import COLOURS
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.volume import LabelMap
from segmentation.wording import counted
from workstation.actors import scene_items
from workstation.case import Case, CaseError
from workstation.case_record import now
from workstation.looks import quantities, scalar_map
from workstation.planning.plan import Plan
from workstation.planning.resection import Cut
from workstation.runs import write_export

MODEL = "model"
"""The name of all surfaces of a plan together."""

COLOURED = (".glb", ".ply", ".usdz", ".usdc", ".usda")
"""The endings of files that hold the colours of points."""

CHECK_STAGE = "meshing.printability"
DOUBLED = ("specimen_surface", "remnant_surface")
TOLD = 3  # faults that the message names


class FaultySurface(CaseError):
    """Surfaces that a printer cannot make; ``findings`` are their faults by surface."""

    def __init__(self, findings: Mapping[str, Sequence[Finding]]) -> None:
        self.findings = {name: tuple(found) for name, found in findings.items() if found}
        every = [f for found in self.findings.values() for f in found]
        told = " ".join(f.sentence for f in every[:TOLD])
        more = f" And {counted(len(every) - TOLD, 'more fault')}." if len(every) > TOLD else ""
        names = " and ".join(repr(name) for name in self.findings)
        super().__init__(f"{names} cannot be printed as it is. {told}{more}")
        remedies = dict.fromkeys(f.remedy for f in every if f.remedy)
        self.remedy = " ".join(
            [*remedies, "Or give a reason to export it all the same (in Print; --despite REASON)."]
        )


@dataclass(frozen=True)
class ModelDraft:
    """Surfaces written beside their place, reopened and compared, with the faults they have.

    Attributes:
        draft: the files and what was read back from them.
        surfaces: what was written, by name.
        faults: what is wrong with them, by name; empty where all is well.
    """

    draft: Draft
    surfaces: Mapping[str, SurfaceMesh]
    faults: Mapping[str, tuple[Finding, ...]]
    despite: str

    def keep(self, case: Case) -> tuple[Path, ...]:
        """Put the files in their place; keep in the case why faulty ones were written."""
        files = self.draft.keep()
        if self.faults:
            codes = {n: sorted({f.code for f in found}) for n, found in self.faults.items()}
            what = {"file": str(files[0]), "despite": self.despite, "faults": codes}
            write_export(case.folder / "runs", case.plan_number, case.plan(), now(), what)
        return files


def doubles(name: str) -> bool:
    """Tell whether a result shows again what another one shows: a proposal, a part's surface."""
    return name.rstrip("_").endswith("_proposal") or name in DOUBLED


def model_names(case: Case, plan: Plan) -> list[str]:
    """Return the computed surfaces that together are the anatomy of a plan.

    A surface that was cut, split, turned or changed in another way is left to what was made
    of it; marked copies of another surface and what left the patient's frame are left out.
    """
    keys = plan.keys()
    surfaces: dict[str, SurfaceMesh] = {}
    for step in plan.steps:
        key = keys[step.output]
        value = case.values[key] if key in case.values and not doubles(step.output) else None
        if not isinstance(value, SurfaceMesh) or value.frame_uid != plan.frame_uid:
            continue
        before = [surfaces[n] for n in step.inputs.values() if n in surfaces and n != step.output]
        if any(np.array_equal(one.triangles, value.triangles) for one in before):
            continue
        for name in step.inputs.values():
            surfaces.pop(name, None)
        if len(value.triangles):
            surfaces[step.output] = value
    return list(surfaces)


def surface_of(case: Case, plan: Plan, name: str, value: Any) -> SurfaceMesh:
    """Return the surface of a result: its own, the plan's surface of it, or a new one."""
    if isinstance(value, SurfaceMesh):
        return value
    if isinstance(value, Cut):
        return value.surface
    if not isinstance(value, LabelMap):
        raise CaseError(f"{name!r} has no surface")
    keys = plan.keys()
    for step in plan.steps:
        drawn = step.stage == "meshing.isosurface" and step.inputs["labels"] == name
        if drawn and keys[step.output] in case.values:
            surface: SurfaceMesh = case.values[keys[step.output]]
            return surface
    return isosurface(value)


def draft_model(
    case: Case,
    names: Sequence[str],
    path: Path,
    *,
    despite: str = "",
    coloured_by: str = "",
    known: Mapping[str, Sequence[Finding]] = MappingProxyType({}),
    progress: Progress = silent,
) -> ModelDraft:
    """Write surfaces beside ``path``, reopen and compare them; `ModelDraft.keep` them then.

    Files for printers are held back where a surface is no sound solid, or a check of the plan
    found a problem of printing, unless ``despite`` gives the reason to write it all the same,
    which goes into the file and into the case. Cuts, which are sheets, are not checked.

    Args:
        case: the open case.
        names: results of the current plan; none means all of `model_names`.
        path: the file that is made; see `meshing.files.draft_surfaces`.
        despite: why faulty surfaces are written.
        coloured_by: a quantity on the surfaces' points that colours them, where they have it.
        known: what a check beside the plan found, by name; its problems count as faults.
        progress: told how far the work is.

    Raises:
        FaultySurface: with the faults and what to do.
        CaseError: if there is no such surface or quantity.
    """
    plan = case.plan()
    ending = path.suffix.lower()
    if not path.parent.is_dir():
        raise CaseError(f"the folder {path.parent} is not there; make it first")
    if not names and not (names := model_names(case, plan)):
        raise CaseError("the plan has no surface yet; add one in Model, or run the plan first")
    values = {name: case.value(name, plan) for name in names}
    surfaces = {name: surface_of(case, plan, name, value) for name, value in values.items()}
    solid = [name for name in names if not isinstance(values[name], Cut)]
    faults: dict[str, tuple[Finding, ...]] = {}
    if ending in PRINTED:
        for number, name in enumerate(solid):
            part = share(share(progress, 0, 2), number, len(solid))
            found = surface_faults(case, plan, name, surfaces[name], known.get(name, ()), part)
            faults |= {name: found} if found else {}
        if faults and not despite.strip():
            raise FaultySurface(faults)
    note = f"FAULTY, exported despite its faults: {despite.strip()}" if faults else ""
    dressed = [
        _dressed(name, surface, len(names) > 1, coloured_by if ending in COLOURED else "")
        for name, surface in surfaces.items()
    ]
    if coloured_by and not any(COLOURS in surface.point_data for surface in dressed):
        raise CaseError(_no_colours(coloured_by, ending, surfaces))
    draft = draft_surfaces(dressed, path, note=note, progress=share(progress, 1, 2))
    return ModelDraft(draft, surfaces, faults, despite.strip())


def surface_faults(
    case: Case,
    plan: Plan,
    name: str,
    surface: SurfaceMesh,
    known: Sequence[Finding] = (),
    progress: Progress = silent,
) -> tuple[Finding, ...]:
    """Return what keeps a surface from being printed: faults, and what a check of it found.

    The checks are those of the plan, and ``known`` beside it.
    """
    keys = plan.keys()
    checked = list(known)
    for step in plan.steps:
        asked = step.stage == CHECK_STAGE and step.inputs.get("mesh") == name
        if asked and keys[step.output] in case.values:
            checked += case.values[keys[step.output]].findings
    found = list(solid_faults(surface, progress=progress))
    codes = {f.code for f in found}
    problems = [f for f in checked if f.severity is Severity.PROBLEM and f.code not in codes]
    return (*found, *dict.fromkeys(problems))


def surface_warnings(case: Case, name: str, progress: Progress = silent) -> tuple[Finding, ...]:
    """Return the faults of a surface as warnings, for a DICOM file, which is not held back.

    Other results of the current plan, cuts among them, have none.
    """
    plan = case.plan()
    value = case.value(name, plan) if name in plan.keys() else None  # noqa: SIM118
    return fault_warnings(value, progress=progress) if isinstance(value, SurfaceMesh) else ()


def _dressed(name: str, surface: SurfaceMesh, several: bool, coloured_by: str) -> SurfaceMesh:
    """Return a surface in the colour that the views show, or in those of a quantity."""
    colour = scene_items({name: surface})[name].colour
    named = replace(surface, name=name if several else surface.name or name, colour=colour)
    scalars = scalar_map(surface, coloured_by) if coloured_by else None
    if scalars is None:
        return named
    stops = np.array(scalars.stops, float)
    value = np.asarray(surface.point_data[coloured_by], float)
    share_of = np.clip((value - scalars.low) / (scalars.high - scalars.low), 0.0, 1.0)
    at = np.linspace(0.0, 1.0, len(stops))
    channels = [np.interp(np.nan_to_num(share_of), at, stops[:, n]) for n in range(3)]
    colours = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return replace(named, point_data={**surface.point_data, COLOURS: colours})


def _no_colours(wanted: str, ending: str, surfaces: Mapping[str, SurfaceMesh]) -> str:
    if ending not in COLOURED:
        return f"a {ending} file holds no colours of points; choose {', '.join(COLOURED)}"
    there = sorted({q for surface in surfaces.values() for q in quantities(surface)})
    known = f"there are: {', '.join(there)}" if there else "compute one in Model, such as thickness"
    return f"no surface has the quantity {wanted!r}; {known}"
