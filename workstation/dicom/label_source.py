"""A label file in DICOM (a Segmentation, a structure set) as one label map for a plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.dicom.datasets import open_dataset
from workstation.dicom.layers import LayeredLabels, chosen
from workstation.dicom.objects import lenient
from workstation.dicom.rtstruct import STRUCTURES_CLASS, list_structures, read_structures
from workstation.dicom.segmentation_reading import list_segments, read_segmentation
from workstation.dicom.sources import DicomError, source_of
from workstation.dicom.values import text

MARK = "#"
"""What stands between a file and the name of a structure in it."""


def is_dicom(path: Path) -> bool:
    """Tell whether a file says that it is DICOM, by its ending or its first bytes."""
    if path.suffix.lower() == ".dcm" or not path.is_file():
        return path.suffix.lower() == ".dcm"
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def split_structure(path: Path) -> tuple[Path, str]:
    """Split ``FILE#STRUCTURE``; a file that is called so is taken as it is."""
    file, _, structure = str(path).partition(MARK)
    return (path, "") if path.exists() else (Path(file), structure.strip())


@lenient()
def structures_in(path: Path) -> dict[int, Label]:
    """Return the structures of a Segmentation or structure set by number, without voxels.

    Raises:
        DicomError: if it is neither or is damaged.
    """
    return list_structures(path) if _holds_contours(path) else list_segments(path)


def read_label_source(
    path: Path,
    wanted: str,
    structure: str = "",
    frame_uid: str | None = None,
    patient_id: str = "",
    grid: Callable[[], ImageGeometry | None] = lambda: None,
) -> LabelMap:
    """Read a Segmentation or structure set and return the structure that is meant.

    That is the one called ``structure`` if given, else see `chosen`. ``frame_uid`` and
    ``patient_id`` are those of the images; where given, they must agree. Contours are filled
    on the voxel grid (LPS mm) of the image that ``grid`` returns.

    Raises:
        DicomError: if it is neither, belongs to another patient, leaves open which structure is
            meant, or has contours and there is no image.
        FrameMismatch: if it lies in another frame of reference.
    """
    try:
        number = chosen(structures_in(path), wanted, structure)
    except DicomError as error:
        raise DicomError(f"{path.name}: {error.sentence}", error.remedy) from error
    found = _filled(path, number, grid) if _holds_contours(path) else read_segmentation(path)
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
    return found.one(wanted, number, by_hand=bool(structure))


def _filled(path: Path, number: int, grid: Callable[[], ImageGeometry | None]) -> LayeredLabels:
    geometry = grid()
    if geometry is None:
        raise DicomError(
            f"{path.name} holds contours, which need the image that they were drawn on",
            "Give the image, in the frame of reference of the contours, as a source too",
        )
    return read_structures(path, geometry, only=number)


@lenient()
def _holds_contours(path: Path) -> bool:
    try:
        data = open_dataset(source_of(path), pixels=False)
    except Exception as error:  # the parser raises many kinds on a damaged file
        raise DicomError(f"{path.name} cannot be read as DICOM ({error})"[:300]) from error
    return text(data, "SOPClassUID") == STRUCTURES_CLASS
