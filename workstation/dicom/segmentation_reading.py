"""DICOM Segmentations, from any maker, as label maps on their own voxel grid.

Compressed objects are decoded in a process of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRBigEndian

from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, Severity
from segmentation.images import PALETTE
from segmentation.volume import Array, Label
from workstation.dicom.datasets import NATIVE_SYNTAXES, frame_count, open_dataset, syntax
from workstation.dicom.headers import VOLUME_CAP_BYTES
from workstation.dicom.layers import LayeredLabels, layered, patient_of
from workstation.dicom.objects import lenient, rgb_of
from workstation.dicom.pixels import decode
from workstation.dicom.segment_grid import VOXEL_CAP, Placed, SegmentGrid, grid_of
from workstation.dicom.sources import DicomError, Source, source_of
from workstation.dicom.values import number, numbers, text, whole

BINARY_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"
TISSUE_CODE = "85756007"
"""The SNOMED CT code "Tissue", which segments carry that have no code of their own."""


@dataclass(frozen=True, eq=False)
class SegmentFrame:
    """One frame of a Segmentation.

    ``segment`` is its segment, or None where the pixels hold segment numbers themselves;
    ``reference`` is the source image as (SOP instance, frame from 0 or None).
    """

    segment: int | None
    placed: Placed
    reference: tuple[str, int | None]
    shape: tuple[int, int]
    stored: Array  # eight pixels per byte, or segment numbers [row, column]

    def mask(self, segment: int) -> npt.NDArray[np.bool_]:
        """Return the pixels [row, column] of ``segment``."""
        if self.segment is None:
            return np.asarray(self.stored == segment)
        if segment != self.segment:
            return np.zeros(self.shape, bool)
        bits = np.unpackbits(self.stored, count=self.shape[0] * self.shape[1], bitorder="little")
        return bits.reshape(self.shape).view(np.bool_)


@lenient()
def read_segmentation(path: Path) -> LayeredLabels:
    """Read a Segmentation (binary, fractional or label map) as label maps.

    A fractional segment holds the voxels of at least half the maximum. Slices that were left
    out because they are empty are put back.

    Raises:
        DicomError: if it is no Segmentation, is damaged, or its frames make no voxel grid.
        OSError: if there is no such file.
    """
    source, data = _opened(path)
    try:
        return _read(source, data)
    except DicomError:
        raise
    except Exception as error:  # a damaged object can fail anywhere in its structure
        raise DicomError(f"{path.name} is a damaged segmentation ({error})"[:300]) from error


@lenient()
def list_segments(path: Path) -> dict[int, Label]:
    """Return the segments of a Segmentation by number, without their voxels.

    Raises:
        DicomError: if it is no Segmentation or is damaged.
    """
    _, data = _opened(path, pixels=False)
    try:
        return _labels(data)
    except Exception as error:  # a damaged object can fail anywhere in its structure
        raise DicomError(f"{path.name} is a damaged segmentation ({error})"[:300]) from error


@lenient()
def segment_frames(path: Path) -> list[SegmentFrame]:
    """Return the frames of a Segmentation with their place and source image.

    Raises:
        DicomError: if it is no Segmentation.
    """
    source, data = _opened(path)
    return list(_frames(source, data))


def _opened(path: Path, pixels: bool = True) -> tuple[Source, Dataset]:
    source = source_of(path)
    try:
        data = open_dataset(source, pixels=pixels)
    except Exception as error:  # the parser raises many kinds on a damaged file
        raise DicomError(f"{path.name} cannot be read as DICOM ({error})"[:300]) from error
    if text(data, "SOPClassUID") not in (BINARY_CLASS, LABELMAP_CLASS):
        kind = text(data, "Modality") or "no DICOM object"
        raise DicomError(f"{path.name} is {kind}, not a DICOM segmentation (SEG)")
    return source, data


def _read(source: Source, data: Dataset) -> LayeredLabels:
    frames = list(_frames(source, data))
    grid = grid_of([frame.placed for frame in frames], text(data, "FrameOfReferenceUID"))
    structures = ((n, label, _mask(n, frames, grid)) for n, label in _labels(data).items())
    findings = (*_doubts(data), *grid.findings)
    return layered(structures, grid.stack.geometry, patient_of(data), findings)


def _mask(segment: int, frames: Sequence[SegmentFrame], grid: SegmentGrid) -> npt.NDArray[np.bool_]:
    mask = np.zeros(grid.stack.geometry.shape, bool)
    for frame, k in zip(frames, grid.places):
        if frame.segment in (None, segment):
            i, j = np.rint(grid.stack.offsets[k]).astype(int)
            rows, columns = frame.shape
            mask[k, j : j + rows, i : i + columns] |= frame.mask(segment)
    return mask


# ---------------------------------------------------------------- frames


def _frames(source: Source, data: Dataset) -> Iterator[SegmentFrame]:
    shared = (data.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    items = data.PerFrameFunctionalGroupsSequence
    rows, columns, count = int(data.Rows), int(data.Columns), frame_count(data)
    if len(items) != count:
        raise DicomError(f"it claims {count} frames and describes {len(items)}")
    if rows * columns > VOXEL_CAP or rows * columns * count > 8 * VOLUME_CAP_BYTES:
        raise DicomError(f"it claims {count} frames of {columns} x {rows} pixels")
    by_value = text(data, "SegmentationType") == "LABELMAP"
    for item, stored in zip(items, _stored(source, data, (rows, columns), count)):
        identified = _group(item, shared, "SegmentIdentificationSequence")
        segment = None if by_value else int(identified.ReferencedSegmentNumber)
        yield SegmentFrame(
            segment,
            _placed(item, shared, (rows, columns)),
            _reference(_group(item, shared, "DerivationImageSequence")),
            (rows, columns),
            stored,
        )


def _group(item: Dataset, shared: Dataset, name: str) -> Dataset:
    """Return the functional group that the frame, or else all frames, carry; maybe empty."""
    sequence = item.get(name) or shared.get(name)
    found: Dataset = sequence[0] if sequence else Dataset()
    return found


def _placed(item: Dataset, shared: Dataset, shape: tuple[int, int]) -> Placed:
    measures = _group(item, shared, "PixelMeasuresSequence")
    position = numbers(_group(item, shared, "PlanePositionSequence"), "ImagePositionPatient", 3)
    turned = numbers(_group(item, shared, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    spacing = numbers(measures, "PixelSpacing", 2)
    if position is None or turned is None or spacing is None:
        raise DicomError("a frame does not say where it lies in the patient")
    between, thickness = (
        size if size is not None and size > 0 else None
        for size in (number(measures, "SpacingBetweenSlices"), number(measures, "SliceThickness"))
    )
    return Placed(position, turned, spacing, shape, between, thickness)


def _reference(derivation: Dataset) -> tuple[str, int | None]:
    images = derivation.get("SourceImageSequence") or []
    if not images:
        return "", None
    frame = whole(images[0], "ReferencedFrameNumber", 0)
    return text(images[0], "ReferencedSOPInstanceUID"), frame - 1 if frame else None


def _stored(source: Source, data: Dataset, shape: tuple[int, int], count: int) -> Iterator[Array]:
    """Yield each frame as packed bits, or as segment numbers in a label map."""
    native = syntax(data) in NATIVE_SYNTAXES
    if int(data.BitsAllocated) == 1 and native:
        yield from _unpacked(data, shape[0] * shape[1], count)
        return
    lowest = 1.0
    if text(data, "SegmentationType") == "FRACTIONAL":
        lowest = float(data.MaximumFractionalValue) / 2
    for pixels in decode(source, range(count), native):
        if pixels.shape != shape:
            raise DicomError(f"a frame decodes to an array of shape {pixels.shape}")
        by_value = text(data, "SegmentationType") == "LABELMAP"
        yield pixels if by_value else np.packbits(pixels >= lowest, bitorder="little")


def _unpacked(data: Dataset, length: int, count: int) -> Iterator[Array]:
    packed = np.frombuffer(data.PixelData, np.uint8)
    if syntax(data) == ExplicitVRBigEndian:
        packed = packed[: len(packed) // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
    if 8 * len(packed) < length * count:
        raise DicomError(f"its pixels end early: {len(packed)} bytes for {count} frames")
    for n in range(count):
        first, last = n * length, (n + 1) * length
        part = packed[first // 8 : (last + 7) // 8]
        if first % 8:  # frames follow each other without padding (PS3.5 8.1.1)
            bits = np.unpackbits(part, bitorder="little")[first % 8 : first % 8 + length]
            part = np.packbits(bits, bitorder="little")
        yield part


# ---------------------------------------------------------------- segments


def _labels(data: Dataset) -> dict[int, Label]:
    """Return the segments by number, under the names and colours that the file gives."""
    found: dict[int, Label] = {}
    items = {int(item.SegmentNumber): item for item in data.SegmentSequence}
    items.pop(0, None)  # the background of a label map
    for n, item in sorted(items.items()):
        name = text(item, "SegmentLabel") or f"segment {n}"
        if any(name == other.name for other in found.values()):
            name = f"{name} ({n})"
        colour = numbers(item, "RecommendedDisplayCIELabValue", 3)
        shown = rgb_of(colour) if colour else PALETTE[(n - 1) % len(PALETTE)]
        found[n] = Label(name, shown, _snomed(item))
    return found


def _snomed(item: Dataset) -> str:
    """Return the SNOMED CT code of a segment's type; "" for none, or of another scheme."""
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()])[0]
    code, scheme = text(kind, "CodeValue"), text(kind, "CodingSchemeDesignator")
    if scheme == "SCT":
        return "" if code == TISSUE_CODE else code
    if scheme in ("SRT", "SNM3", "99SDM"):  # the older codes of the same terms
        old = Code(code, "SRT", "")
        return next((k.code for k in ANATOMY.values() if Code(k.code, "SCT", "") == old), "")
    return ""


def _doubts(data: Dataset) -> list[Finding]:
    if text(data, "SegmentationType") != "FRACTIONAL":
        return []
    kind = text(data, "SegmentationFractionalType").lower() or "fraction"
    sentence = f"the file gives a {kind} per voxel; those of at least one half were taken"
    return [Finding(Severity.WARNING, "fractional", sentence)]
