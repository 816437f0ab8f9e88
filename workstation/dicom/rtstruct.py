"""Radiotherapy contours (RT Structure Set) as labels on the grid of the image.

A voxel belongs to a structure if its centre lies inside an odd number of the structure's
contours in its slice (even-odd rule), so a contour within a contour is a hole, and a contour
that runs in and back along one line (keyhole) has one too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from segmentation.contract import Finding, FrameMismatch, Severity
from segmentation.images import PALETTE
from segmentation.volume import Floats, ImageGeometry, Label
from segmentation.wording import counted
from workstation.dicom.datasets import open_dataset
from workstation.dicom.layers import LayeredLabels, Mask, layered, patient_of
from workstation.dicom.objects import lenient
from workstation.dicom.sources import DicomError, source_of
from workstation.dicom.values import numbers, text

STRUCTURES_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
OFF_SLICE = 0.1
"""How far, in slice distances, a contour may lie from its slice: positions are rounded."""
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@lenient()
def read_structures(
    path: Path, geometry: ImageGeometry, *, only: int | None = None
) -> LayeredLabels:
    """Read the closed contours of a structure set as labels on the grid of their image.

    Structures are numbered from 1 as they are listed; ``only`` is the number of the one that is
    wanted. Slices between contours stay empty. What is no closed contour or lies outside the
    image is left out, with a finding.

    Raises:
        DicomError: if it is no structure set, is damaged, or has contours across or between
            the slices.
        FrameMismatch: if a structure lies in another frame of reference.
        OSError: if there is no such file.
    """
    with _opened(path) as data:
        findings: list[Finding] = []  # grows while the structures are filled, one at a time
        structures = _structures(data, geometry, findings, only)
        return layered(structures, geometry, patient_of(data), findings)


@lenient()
def list_structures(path: Path) -> dict[int, Label]:
    """Return the structures of a structure set by number, without filling their contours.

    Raises:
        DicomError: if it is no structure set or is damaged.
        OSError: if there is no such file.
    """
    with _opened(path) as data:
        return {n: label for n, _, label, _ in _listed(data)}


@contextmanager
def _opened(path: Path) -> Iterator[Dataset]:
    """Open a structure set; whatever fails while it is read names the file."""
    source = source_of(path)
    try:
        data = open_dataset(source)
        if text(data, "SOPClassUID") != STRUCTURES_CLASS:
            raise DicomError(f"{path.name} is no structure set (RTSTRUCT)")
        yield data
    except (DicomError, FrameMismatch):
        raise
    except Exception as error:  # a damaged object can fail anywhere in its structure
        raise DicomError(f"{path.name} is a damaged structure set ({error})"[:300]) from error


def _listed(data: Dataset) -> Iterator[tuple[int, Dataset, Label, Dataset]]:
    """Yield number, description, label and contours of each structure."""
    contours = {int(item.ReferencedROINumber): item for item in data.ROIContourSequence}
    for n, roi in enumerate(data.StructureSetROISequence, start=1):
        name = text(roi, "ROIName") or f"structure {n}"
        drawn = contours.get(int(roi.ROINumber), Dataset())
        colour = numbers(drawn, "ROIDisplayColor", 3)
        red, green, blue = map(int, colour) if colour else PALETTE[(n - 1) % len(PALETTE)]
        yield n, roi, Label(name, (red, green, blue)), drawn


def _structures(
    data: Dataset, geometry: ImageGeometry, findings: list[Finding], only: int | None
) -> Iterator[tuple[int, Label, Mask]]:
    for n, roi, label, drawn in _listed(data):
        if only in (None, n):
            _require_frame(roi, geometry)
            yield n, label, _filled(label.name, drawn, geometry, findings)


def _require_frame(roi: Dataset, geometry: ImageGeometry) -> None:
    frame = text(roi, "ReferencedFrameOfReferenceUID")
    if frame and frame != geometry.frame_uid:
        raise FrameMismatch(
            f"the contours of {text(roi, 'ROIName')} lie in frame {frame} and the image in "
            f"{geometry.frame_uid}; register one to the other first"
        )


def _filled(name: str, drawn: Dataset, geometry: ImageGeometry, findings: list[Finding]) -> Mask:
    mask = np.zeros(geometry.shape, bool)
    slices: dict[int, list[Floats]] = {}
    outside = 0
    for k, polygon in _polygons(name, drawn, geometry, findings):
        inside = 0 <= k < geometry.size[2] and _touches(polygon, geometry)
        outside += not inside
        if 0 <= k < geometry.size[2]:
            slices.setdefault(k, []).append(polygon)
    for k, polygons in slices.items():
        mask[k] = even_odd(polygons, geometry.shape[1:])
    if outside:
        sentence = counted(
            outside,
            f"contour of {name} reaches outside the image and is cut off there",
            f"contours of {name} reach outside the image and are cut off there",
        )
        findings.append(Finding(Severity.WARNING, "contour_outside", sentence))
    if not mask.any():
        sentence = f"{name} has no voxel"
        findings.append(Finding(Severity.WARNING, "empty_label", sentence))
    return mask


def _touches(polygon: Floats, geometry: ImageGeometry) -> bool:
    """Tell whether a polygon (i, j) lies within the edges of the image."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return bool(np.all(low >= -0.5) and np.all(high <= np.array(geometry.size[:2]) - 0.5))


def _polygons(
    name: str, drawn: Dataset, geometry: ImageGeometry, findings: list[Finding]
) -> Iterator[tuple[int, Floats]]:
    """Yield the slice number and corners (i, j) of each closed contour."""
    left_out = 0
    for contour in drawn.get("ContourSequence") or ():
        kind = text(contour, "ContourGeometricType").upper()
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        if kind not in _CLOSED or len(points) < 3:
            left_out += 1
            continue
        index = geometry.to_index(points)
        k = int(np.rint(index[0, 2]))
        off = float(np.abs(index[:, 2] - k).max())
        if off > OFF_SLICE:
            raise DicomError(
                f"a contour of {name} lies across or between the slices of the image "
                f"({off * geometry.spacing_mm[2]:.2f} mm off)",
                "Use the image on which it was drawn",
            )
        yield k, index[:, :2]
    if left_out:
        sentence = counted(
            left_out,
            f"point or open line of {name} encloses nothing and was left out",
            f"points or open lines of {name} enclose nothing and were left out",
        )
        findings.append(Finding(Severity.WARNING, "contour_open", sentence))


def even_odd(polygons: Sequence[Floats], shape: tuple[int, ...]) -> Mask:
    """Return the pixels [row, column] whose centres lie inside an odd number of ``polygons``.

    Corners are (column, row); a pixel centre on a left or upper edge is inside, on a right or
    lower edge outside, so neighbours that share an edge neither overlap nor leave a gap.
    """
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), np.int32)
    for polygon in polygons:
        for start, end in zip(polygon, np.roll(polygon, -1, axis=0)):
            low, high = sorted((start[1], end[1]))
            row: npt.NDArray[np.int_] = np.arange(
                max(0, int(np.ceil(low))), min(rows, int(np.ceil(high)))
            )
            if not len(row):
                continue
            at = start[0] + (row - start[1]) * (end[0] - start[0]) / (end[1] - start[1])
            crossings[row, np.clip(np.ceil(at), 0, columns).astype(int)] += 1
    return np.asarray(np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1)
