"""The built-in synthetic patients as cases: made as DICOM, imported as any patient is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentation.contract import Progress, share, silent
from workstation.case import Case, CaseError, case_for_writing
from workstation.importing import start_plan
from workstation.phantom import HEAD_MRA, AneurysmPhantom, Phantom, abdomen, head, write_dicom
from workstation.phantom.aneurysm_truth import exact_shape
from workstation.planning.template import find_template


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
    """

    title: str
    template: str
    source: str
    make: Callable[[Progress], Any]
    write: Callable[[Any, Path, Progress], object]
    exact: Callable[[Any, Case], Mapping[str, float]]
    settings: tuple[tuple[str, str, Any], ...] = ()


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
}
"""The built-in patients by the name that `hilum demo` knows them by."""


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
        if case.record.sources and demo.source not in case.record.sources:
            raise CaseError(f"{folder} holds another synthetic patient; choose another folder")
        patient = demo.make(share(progress, 0, 2))
        if not case.plan_number:
            with tempfile.TemporaryDirectory() as scratch:
                demo.write(patient, Path(scratch), share(progress, 2, 4))
                source = {demo.source: Path(scratch)}
                template = find_template(demo.template)
                start_plan(case, template, source, demo.settings, share(progress, 3, 4))
    return patient


def exact_numbers(name: str, patient: Any, case: Case) -> Mapping[str, float]:
    """Return the exact value of each number of the plan that is known, by its full name."""
    return DEMOS[name].exact(patient, case)
