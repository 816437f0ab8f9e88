"""A label file in DICOM (a Segmentation) as one label map for a plan."""

from __future__ import annotations

from pathlib import Path

from segmentation.contract import FrameMismatch
from segmentation.volume import LabelMap
from workstation.dicom.segmentation_reading import read_segmentation
from workstation.dicom.sources import DicomError


def read_label_source(
    path: Path, wanted: str, *, frame_uid: str | None = None, patient_id: str = ""
) -> LabelMap:
    """Read a Segmentation and return the segment called or coded as ``wanted``.

    Without such a segment all are returned, if they do not overlap. ``frame_uid`` and
    ``patient_id`` are those of the images; where given, they must agree.

    Raises:
        DicomError: if it is no Segmentation, belongs to another patient, or leaves open which
            segment is meant.
        FrameMismatch: if it lies in another frame of reference.
    """
    found = read_segmentation(path)
    theirs = found.patient.patient_id
    if patient_id and theirs and theirs != patient_id:
        raise DicomError(
            f"{path.name} belongs to another patient than the images", "Check both files"
        )
    frame = found.geometry.frame_uid
    if frame_uid and frame != frame_uid:
        raise FrameMismatch(
            f"{path.name} lies in frame of reference {frame} and the images in {frame_uid}; "
            "register one to the other first"
        )
    return found.one(wanted)
