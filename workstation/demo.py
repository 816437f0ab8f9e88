"""The built-in synthetic patients as cases: made as DICOM, imported as any patient is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_data_path

from meshing.files import write_surface
from segmentation.contract import Progress, share, silent
from workstation.case import Case, CaseError, case_for_writing, open_case
from workstation.importing import source_kinds, start_plan, with_settings
from workstation.phantom import (
    HEAD_CT,
    HEAD_MRA,
    AneurysmPhantom,
    Phantom,
    SkullPhantom,
    abdomen,
    head,
    skull_with_hole,
    write_dicom,
)
from workstation.phantom.aneurysm_truth import exact_shape
from workstation.phantom.graft_bones import ArchPhantom, FibulaPhantom, fibula, mandible
from workstation.phantom.pair import DAY, Pair, pair, write_pair
from workstation.phantom.vessel_tubes import (
    RENAL_MM,
    AortaPair,
    TubePhantom,
    aorta_pair,
    exact_aorta,
    exact_narrowing,
    narrowed_artery,
)
from workstation.planning.plan import Plan, PlanError
from workstation.planning.template import find_template
from workstation.stages import at_present


@dataclass(frozen=True)
class Demo:
    """One built-in patient.

    Attributes:
        title: what the patient is, for people.
        template: the plan that is made for it.
        source: which source of the template its images are.
        make: makes the patient.
        write: writes its images as DICOM into a folder.
        exact: returns what is known exactly, by the full names of the plan's numbers.
        settings: (step, parameter, value) that the plan begins with.
        files: source to its file in that folder, where there are several.
    """

    title: str
    template: str
    source: str
    make: Callable[[Progress], Any]
    write: Callable[[Any, Path, Progress], object]
    exact: Callable[[Any, Case], Mapping[str, float]]
    settings: tuple[tuple[str, str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def paths(self, folder: Path) -> dict[str, Path]:
        """Return each source of the template and where ``write`` puts it within ``folder``."""
        if not self.files:
            return {self.source: folder}
        return {source: folder / name for source, name in self.files.items()}

    def plan(self) -> Plan:
        """Return the plan that is begun for the patient, as it is before the patient is there."""
        template, paths = find_template(self.template), self.paths(Path())
        plan = template.plan("", dict.fromkeys(paths, ""), source_kinds(template, paths))
        return at_present(with_settings(plan, self.settings))


def _make_abdomen(progress: Progress) -> Phantom:
    return abdomen(progress=progress)


def _write_abdomen(patient: Phantom, folder: Path, progress: Progress) -> object:
    return write_dicom(patient, folder, progress)


def _exact_liver(patient: Phantom, case: Case) -> dict[str, float]:
    cut = case.value("cut")
    specimen, remnant = patient.exact_cut_ml(cut.point_mm, cut.normal)
    return {f"{name}.volume": ml for name, ml in patient.exact_ml.items()} | {
        "specimen.volume": specimen,
        "remnant.volume": remnant,
        "margin.minimum": patient.tumor_plane_distance_mm(cut.point_mm, cut.normal),
    }


def _make_head(progress: Progress) -> AneurysmPhantom:
    return head(progress=progress)


def _write_head(patient: AneurysmPhantom, folder: Path, progress: Progress) -> object:
    return write_dicom(patient, folder, progress, HEAD_MRA)


def _exact_aneurysm(patient: AneurysmPhantom, case: Case) -> dict[str, float]:
    return exact_shape(patient)


def _make_pair(progress: Progress) -> Pair:
    return pair()


def _write_pair(people: Pair, folder: Path, progress: Progress) -> object:
    write_pair(people, folder)
    return folder


def _exact_pair(people: Pair, case: Case) -> dict[str, float]:
    return {}


def _make_skull(progress: Progress) -> SkullPhantom:
    return skull_with_hole(progress=progress)


def _write_skull(patient: SkullPhantom, folder: Path, progress: Progress) -> object:
    return write_dicom(patient, folder, progress, HEAD_CT)


def _exact_skull(patient: SkullPhantom, case: Case) -> dict[str, float]:
    return {"defect.volume": patient.missing_ml}


def _make_bones(progress: Progress) -> tuple[ArchPhantom, FibulaPhantom]:
    return mandible(), fibula("left", shift_mm=(130.0, 0.0, -1000.0))


def _write_bones(
    bones: tuple[ArchPhantom, FibulaPhantom], folder: Path, progress: Progress
) -> object:
    folder.mkdir(parents=True, exist_ok=True)
    write_surface(bones[0].mesh, folder / "mandible.stl")
    write_surface(bones[1].mesh, folder / "fibula.stl")
    return folder


def _exact_bones(bones: tuple[ArchPhantom, FibulaPhantom], case: Case) -> dict[str, float]:
    return {"fibula_axis.length": float(np.linalg.norm(bones[1].knee_mm - bones[1].ankle_mm))}


def _make_artery(progress: Progress) -> TubePhantom:
    return narrowed_artery()


def _write_artery(artery: TubePhantom, folder: Path, progress: Progress) -> object:
    folder.mkdir(parents=True, exist_ok=True)
    write_surface(artery.mesh, folder / "artery.stl")
    return folder


def _exact_artery(artery: TubePhantom, case: Case) -> dict[str, float]:
    return exact_narrowing(artery)


def _make_aorta(progress: Progress) -> AortaPair:
    return aorta_pair()


def _write_aorta(pair: AortaPair, folder: Path, progress: Progress) -> object:
    folder.mkdir(parents=True, exist_ok=True)
    write_surface(pair.now.mesh, folder / "aorta.stl")
    write_surface(pair.earlier.mesh, folder / "earlier.stl")
    return folder


def _exact_aorta(pair: AortaPair, case: Case) -> dict[str, float]:
    days = [date.fromisoformat(day) for day in AORTA_DAYS]
    return exact_aorta(pair, (days[1] - days[0]).days / 365.25)


AORTA_DAYS = ("2022-05-04", "2024-05-03")
"""When the synthetic aorta was looked at."""

DEMOS: Mapping[str, Demo] = {
    "liver": Demo(
        "an abdominal CT with a liver tumour",
        "liver-resection",
        "ct",
        _make_abdomen,
        _write_abdomen,
        _exact_liver,
    ),
    "aneurysm": Demo(
        "an MR angiography with an aneurysm of the left carotid artery",
        "aneurysm",
        "image",
        _make_head,
        _write_head,
        _exact_aneurysm,
        (
            ("patient", "age_years", 62.0),
            ("patient", "female", True),
            ("patient", "population", "other"),
            ("patient", "site", "pcom"),
            ("patient", "hypertension", True),
            ("patient", "earlier_sah", False),
        ),
    ),
    "cranioplasty": Demo(
        "a head CT with a hole in the left of the skull",
        "cranioplasty",
        "ct",
        _make_skull,
        _write_skull,
        _exact_skull,
        (("patient", "side", "left"),),
    ),
    "transplant": Demo(
        "a kidney donor and a recipient as records",
        "transplant",
        "donor",
        _make_pair,
        _write_pair,
        _exact_pair,
        (
            ("sheet", "review_date", DAY),
            ("sheet", "mfi_warn", 1000.0),
            ("sheet", "mfi_block", 5000.0),
        ),
        {"donor": "donor.json", "recipient": "recipient.json"},
    ),
    "mandible": Demo(
        "a mandible and the left fibula as surfaces",
        "mandible-reconstruction",
        "mandible",
        _make_bones,
        _write_bones,
        _exact_bones,
        (
            ("fibula_axis", "leg", "left"),
            ("graft", "least_mm", 20.0),
            ("graft", "from_ankle_mm", 70.0),
            ("graft", "from_knee_mm", 60.0),
            ("graft", "kerf_mm", 0.8),
        ),
        {"mandible": "mandible.stl", "fibula": "fibula.stl"},
    ),
    "stenosis": Demo(
        "an artery with a narrowing as a surface",
        "stenosis",
        "lumen",
        _make_artery,
        _write_artery,
        _exact_artery,
        (
            ("narrowing", "aortic_pressure_mmhg", 92.0),
            ("narrowing", "flow_ml_s", 2.5),
            ("narrowing", "flow_source", "assumed for the demonstration"),
        ),
        {"lumen": "artery.stl"},
    ),
    "aorta": Demo(
        "an aorta with an aneurysm, and as it was two years before, as surfaces",
        "aorta",
        "aorta",
        _make_aorta,
        _write_aorta,
        _exact_aorta,
        (
            ("line", "inlet_mm", (0.0, -20.0, 150.0)),
            ("earlier_line", "inlet_mm", (0.0, -20.0, 150.0)),
            ("diameters", "renal_mm", RENAL_MM),
            ("repair", "female", True),
            ("repair", "site", "infrarenal"),
            ("change", "earlier_date", AORTA_DAYS[0]),
            ("change", "later_date", AORTA_DAYS[1]),
        ),
        {"aorta": "aorta.stl", "earlier": "earlier.stl"},
    ),
}
"""The built-in patients by the name that `hilum demo` knows them by."""


def first_folder(name: str) -> Path:
    """Return where a built-in patient's case is kept among the user's own cases."""
    return user_data_path("hilum") / "cases" / f"demo-{name}"


def own_folder(name: str) -> Path:
    """Return the folder of a built-in patient's case whose plan is that of today, or a free one.

    A case that an earlier version of Hilum began otherwise stays as it is, and this one stands
    beside it.
    """
    first = first_folder(name)
    beside = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(f for f in chain([first], beside) if not _begun_otherwise(f, DEMOS[name]))


def _begun_otherwise(folder: Path, demo: Demo) -> bool:
    """Tell whether a case began with other steps than the patient's case would begin with now."""
    if not (folder / "case.json").is_file():
        return False
    try:
        with open_case(folder, write=False) as case:
            history = case.record.history
            if not history:
                return False
            begun, today = case.plan(history[0].plan), demo.plan()
    except (CaseError, PlanError):
        return True
    return len(begun.steps) != len(today.steps) or any(
        (old.output, old.stage, old.version, old.inputs)
        != (new.output, new.stage, new.version, new.inputs)
        or not new.params.items() <= old.params.items()
        for old, new in zip(begun.steps, today.steps)
    )


def start_demo(folder: Path, name: str = "liver", progress: Progress = silent) -> Any:
    """Make a built-in patient a case in ``folder`` with a plan not yet computed; return it.

    A case that holds it already is left as it is.

    Raises:
        CaseError: if the folder holds another patient or anything else.
    """
    demo = DEMOS[name]
    with case_for_writing(folder) as case:
        if case.record.sources and not case.record.synthetic:
            raise CaseError(f"{folder} holds a real patient; choose another folder with --case")
        template = find_template(demo.template)
        own = template.sources[demo.source].source_name
        if case.record.sources and own not in case.record.sources:
            raise CaseError(f"{folder} holds another synthetic patient; choose another folder")
        patient = demo.make(share(progress, 0, 2))
        if not case.plan_number:
            with tempfile.TemporaryDirectory() as scratch:
                demo.write(patient, Path(scratch), share(progress, 2, 4))
                case.record.synthetic = True
                paths = demo.paths(Path(scratch))
                start_plan(case, template, paths, demo.settings, share(progress, 3, 4))
    return patient


def exact_numbers(name: str, patient: Any, case: Case) -> Mapping[str, float]:
    """Return the exact value of each number of the plan that is known, by its full name."""
    return DEMOS[name].exact(patient, case)
