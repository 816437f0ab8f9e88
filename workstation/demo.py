"""The built-in synthetic patient as a case: made as DICOM, imported as any patient is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from segmentation.contract import Progress, share, silent
from workstation.case import CaseError, case_for_writing
from workstation.importing import start_plan
from workstation.phantom import Phantom, abdomen, write_dicom
from workstation.planning.resection import CutPlane
from workstation.planning.template import find_template

TEMPLATE = "liver-resection"


def start_demo(folder: Path, progress: Progress = silent) -> Phantom:
    """Make the synthetic patient a case in ``folder`` with a plan not yet computed.

    A case that holds it already is left as it is.

    Raises:
        CaseError: if the folder holds another patient or anything else.
    """
    with case_for_writing(folder) as case:
        if case.record.sources and not case.record.synthetic:
            raise CaseError(f"{folder} holds a real patient; choose another folder with --case")
        patient = abdomen(progress=share(progress, 0, 2))
        if not case.plan_number:
            with tempfile.TemporaryDirectory() as scratch:
                write_dicom(patient, Path(scratch), share(progress, 2, 4))
                source = {"ct": Path(scratch)}
                start_plan(case, find_template(TEMPLATE), source, progress=share(progress, 3, 4))
    return patient


def exact_numbers(patient: Phantom, cut: CutPlane) -> dict[str, float]:
    """Return the exact value of each number of the plan that is known, by its full name."""
    specimen, remnant = patient.exact_cut_ml(cut.point_mm, cut.normal)
    return {f"{name}.volume": ml for name, ml in patient.exact_ml.items()} | {
        "specimen.volume": specimen,
        "remnant.volume": remnant,
        "margin.minimum": patient.tumor_plane_distance_mm(cut.point_mm, cut.normal),
    }
