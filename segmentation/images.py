"""Images and labels at the edges: SimpleITK, VTK, and NIfTI, NRRD and MetaImage files.

Files of the three kinds are read and written by SimpleITK, which turns NIfTI's RAS into LPS.
NRRD and MetaImage carry the frame of reference and the label names; NIfTI has no room for
them. NIfTI stores positions as 32-bit floats, so they return to about 0.0001 mm.
"""

from __future__ import annotations

import gzip
import os
import struct
import uuid
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from math import isfinite, prod
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from scipy.spatial.transform import Rotation
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData

from segmentation.contract import Finding, Severity
from segmentation.volume import (
    Array,
    ImageGeometry,
    Label,
    LabelMap,
    Volume,
)

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
PALETTE = (
    (222, 158, 110), (98, 152, 220), (120, 190, 110), (220, 100, 100), (170, 130, 205),
    (230, 205, 90), (90, 190, 190), (225, 140, 185),
)  # fmt: skip
_FRAME_KEY = "frame_of_reference_uid"
_QUANTITY_KEY = "quantity"


class UnusableImage(ValueError):
    """A file cannot be read as an image or a label in patient space."""


# --- SimpleITK and VTK -----------------------------------------------------------------


def to_sitk(value: Volume | LabelMap) -> sitk.Image:
    """Return a copy as a three-dimensional SimpleITK image in LPS mm."""
    image = sitk.GetImageFromArray(value.array)
    image.SetSpacing(value.geometry.spacing_mm)
    image.SetOrigin(value.geometry.origin_mm)
    image.SetDirection(value.geometry.direction)
    return image


def geometry_from_sitk(image: sitk.Image, frame_uid: str) -> ImageGeometry:
    """Return the grid of a three-dimensional SimpleITK image (LPS mm).

    Raises:
        ValueError: if its axes are not orthonormal.
    """
    return ImageGeometry(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), frame_uid
    )


def volume_from_sitk(image: sitk.Image, frame_uid: str, quantity: str = "HU") -> Volume:
    """Return a copy of a three-dimensional scalar SimpleITK image as a `Volume`."""
    return Volume(sitk.GetArrayFromImage(image), geometry_from_sitk(image, frame_uid), quantity)


def labels_from_sitk(
    image: sitk.Image, frame_uid: str, labels: Mapping[int, Label] | None = None
) -> LabelMap:
    """Return a copy of a SimpleITK image as a `LabelMap`; values without a name get one.

    Raises:
        UnusableImage: for values that are not whole numbers from 0 to 65535.
    """
    array = _label_values(sitk.GetArrayFromImage(image))
    found = (int(v) for v in np.flatnonzero(np.bincount(array.ravel())) if v != 0)
    named = {v: Label(f"label {v}", PALETTE[(v - 1) % len(PALETTE)]) for v in found}
    return LabelMap(array, geometry_from_sitk(image, frame_uid), named | dict(labels or {}))


def to_vtk(value: Volume | LabelMap) -> vtkImageData:
    """Return a VTK image in LPS mm, with direction matrix, that shares the voxels.

    The voxels belong to an immutable value: treat the image as read-only.
    """
    geometry = value.geometry
    array = value.array.view(np.uint8) if value.array.dtype == np.bool_ else value.array
    scalars = numpy_to_vtk(array.reshape(-1))
    scalars.SetName("labels" if isinstance(value, LabelMap) else value.quantity)
    image = vtkImageData()
    image.SetDimensions(geometry.size)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirectionMatrix(geometry.direction)
    image.GetPointData().SetScalars(scalars)
    return image


def volume_from_vtk(image: vtkImageData, frame_uid: str, quantity: str = "HU") -> Volume:
    """Return a copy of the scalars of a VTK image (LPS mm) as a `Volume`."""
    array, geometry = _from_vtk(image, frame_uid)
    return Volume(array, geometry, quantity)


def labels_from_vtk(
    image: vtkImageData, frame_uid: str, labels: Mapping[int, Label] | None = None
) -> LabelMap:
    """Return a copy of the scalars of a VTK image (LPS mm) as a `LabelMap`.

    Raises:
        UnusableImage: for values that are not whole numbers from 0 to 65535.
    """
    array, geometry = _from_vtk(image, frame_uid)
    return LabelMap(_label_values(array), geometry, labels or {})


def _from_vtk(image: vtkImageData, frame_uid: str) -> tuple[Array, ImageGeometry]:
    matrix = image.GetDirectionMatrix()
    direction = tuple(matrix.GetElement(row, column) for row in range(3) for column in range(3))
    corner = [0.0, 0.0, 0.0]
    image.TransformIndexToPhysicalPoint(*image.GetExtent()[::2], corner)
    geometry = ImageGeometry(
        image.GetDimensions(),
        image.GetSpacing(),
        (corner[0], corner[1], corner[2]),
        direction,
        frame_uid,
    )
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(geometry.shape).copy(), geometry


def _label_values(array: Array) -> Array:
    """Return ``array`` as uint8 or uint16, or refuse it."""
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise UnusableImage("labels must be whole numbers; this is an image or a probability map")
    low, high = array.min(), array.max()
    if low < 0 or high > 65535:
        raise UnusableImage(f"labels must lie between 0 and 65535, not between {low} and {high}")
    return array.astype(np.uint8 if high <= 255 else np.uint16)


# --- files -----------------------------------------------------------------------------


def read_volume(
    path: str | os.PathLike[str], frame_uid: str | None = None, quantity: str | None = None
) -> Volume:
    """Read a NIfTI, NRRD or MetaImage file as a `Volume` in LPS mm.

    ``frame_uid`` is the frame of reference of the study it belongs to. Without it the one
    that the file carries is used, or else one derived from the voxels and the geometry.
    ``quantity`` defaults to the file's own, or else to "HU".

    Raises:
        UnusableImage: if the file is missing, damaged, not three-dimensional and scalar, or
            says nothing usable about its place in the patient.
    """
    image, header = _read(Path(path))
    array, told = _numbers(Path(path), sitk.GetArrayFromImage(image))
    frame, findings = _frame(frame_uid, header, image, array)
    geometry = _geometry(image, frame, Path(path))
    findings += _disagreement(header, geometry) + told
    return Volume(array, geometry, quantity or header.get(_QUANTITY_KEY, "HU"), findings)


def read_labels(path: str | os.PathLike[str], frame_uid: str | None = None) -> LabelMap:
    """Read a NIfTI, NRRD or MetaImage file as a `LabelMap` in LPS mm.

    ``frame_uid`` is that of the image the labels belong to; see `read_volume`. Names, colours
    and codes come from ``Segment0_Name``, ``Segment0_LabelValue``, ... where the file has
    them, as 3D Slicer and `write_labels` write them.

    Raises:
        UnusableImage: as `read_volume`, and for values that are not whole numbers from 0 to
            65535 or segments that overlap in several layers.
    """
    image, header = _read(Path(path))
    frame, findings = _frame(frame_uid, header, image, sitk.GetArrayViewFromImage(image))
    findings += _disagreement(header, _geometry(image, frame, Path(path)))
    try:
        labels = labels_from_sitk(image, frame, _segments(header))
    except UnusableImage as error:
        raise UnusableImage(f"{path}: {error}") from error
    return replace(labels, findings=findings)


def write_volume(volume: Volume, path: str | os.PathLike[str]) -> None:
    """Write a volume as .nii, .nii.gz, .nrrd or .mha; the file appears whole or not at all.

    Raises:
        ValueError: for another ending.
    """
    image = to_sitk(volume)
    header = {_FRAME_KEY: volume.geometry.frame_uid, _QUANTITY_KEY: volume.quantity}
    _write(image, header, Path(path))


def write_labels(labels: LabelMap, path: str | os.PathLike[str]) -> None:
    """Write labels as .nii, .nii.gz, .nrrd or .mha; the file appears whole or not at all.

    NRRD (as ``.seg.nrrd`` for 3D Slicer) and MetaImage keep names, colours and codes.

    Raises:
        ValueError: for another ending.
    """
    header = {_FRAME_KEY: labels.geometry.frame_uid}
    for n, (value, label) in enumerate(labels.labels.items()):
        header |= {
            f"Segment{n}_ID": f"Segment_{value}",
            f"Segment{n}_Name": label.name,
            f"Segment{n}_LabelValue": str(value),
            f"Segment{n}_Layer": "0",
            f"Segment{n}_Color": " ".join(f"{c / 255:.6g}" for c in label.colour),
        }
        if label.code:
            header[f"Segment{n}_Code"] = label.code
    _write(to_sitk(labels), header, Path(path))


def _ending(path: Path) -> str:
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return ending
    raise UnusableImage(f"{path.name}: the ending must be one of {', '.join(ENDINGS)}")


def _write(image: sitk.Image, header: Mapping[str, str], path: Path) -> None:
    ending = _ending(path)
    if not ending.startswith(".nii"):
        for key, value in header.items():
            image.SetMetaData(key, " ".join(value.split()))
    partial = path.with_name(f".{uuid.uuid4().hex}{ending}")
    try:
        sitk.WriteImage(image, str(partial), useCompression=ending != ".nii")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _check_whole(path: Path) -> None:
    """Refuse a damaged NIfTI file: its reader fills what is missing with zeros and says nothing."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            header = file.read(540)
            length = len(header) + sum(map(len, iter(lambda: file.read(1 << 22), b"")))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnusableImage(f"{path}: the file is not whole ({error}); copy it again") from error
    wanted = _nifti_length(header)
    if length < wanted:
        raise UnusableImage(
            f"{path}: the file is not whole (it holds {length:,} bytes of {wanted:,}); "
            "copy it again"
        )


def _nifti_length(header: bytes) -> int:
    """Return the bytes that a NIfTI-1 or -2 file has by its header; 0 where it is neither."""
    for order in "<>":
        if header[:4] == struct.pack(f"{order}i", 348) and len(header) >= 348:
            dim = [*struct.unpack_from(f"{order}8h", header, 40)]
            bits, start = struct.unpack_from(f"{order}h34xf", header, 72)
        elif header[:4] == struct.pack(f"{order}i", 540) and len(header) >= 540:
            bits, *dim = struct.unpack_from(f"{order}h8q", header, 14)
            (start,) = struct.unpack_from(f"{order}q", header, 168)
        else:
            continue
        voxels = prod(max(int(n), 1) for n in dim[1 : dim[0] + 1])
        return voxels * int(bits) // 8 + (int(start) if isfinite(start) else 0)
    return 0


def _numbers(path: Path, array: Array) -> tuple[Array, tuple[Finding, ...]]:
    """Return voxels that are 0 where the file holds no number, and a finding of how many.

    The reader of NIfTI writes zeros there itself and says nothing, so the file is asked.
    """
    stored = array
    if array.dtype.kind == "f" and _ending(path).startswith(".nii"):
        with suppress(ImageFileError, HeaderDataError):  # of headers that it is strict about
            stored = np.asarray(nibabel.load(path).dataobj.get_unscaled())
    if stored.dtype.kind != "f":
        return array, ()
    lacking = stored.size - int(np.count_nonzero(np.isfinite(stored)))
    if lacking == stored.size:
        raise UnusableImage(f"{path}: no voxel holds a number; export the image again")
    if not lacking:
        return array, ()
    count = f"{lacking:,} of {stored.size:,}"
    sentence = f"{count} voxels hold no number (NaN or infinite) and were read as 0."
    remedy = "Look at where they lie, or export the image again"
    return np.nan_to_num(array, copy=False, nan=0.0, posinf=0.0, neginf=0.0), (
        Finding(Severity.WARNING, "not_numbers", sentence, remedy=remedy),
    )


def _read(path: Path) -> tuple[sitk.Image, dict[str, str]]:
    """Read a file and its header, refusing what cannot be a volume in patient space."""
    ending = _ending(path)
    if not path.is_file():
        raise UnusableImage(f"{path}: there is no such file")
    if ending.startswith(".nii"):
        _check_whole(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UnusableImage(f"{path}: cannot be read as an image ({reason})") from error
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    if image.GetNumberOfComponentsPerPixel() != 1 or image.GetPixelID() in (
        sitk.sitkComplexFloat32,
        sitk.sitkComplexFloat64,
    ):
        raise UnusableImage(
            f"{path}: each voxel holds several values; save one channel, or segments that do not "
            "overlap, and read that"
        )
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        raise UnusableImage(
            f"{path}: has {image.GetDimension()} dimensions instead of three; save one volume of it"
        )
    if not _placed(ending, header, path):
        raise UnusableImage(
            f"{path}: does not say where its voxels lie in the patient; export it again with "
            "spacing, position and orientation"
        )
    return image, header


def _placed(ending: str, header: Mapping[str, str], path: Path) -> bool:
    """Tell whether the file itself states its geometry, which the reader would else invent."""
    if ending.startswith(".nii"):
        return any(int(header.get(key, "0")) > 0 for key in ("qform_code", "sform_code"))
    if ending == ".nrrd":
        return header.get("NRRD_space") == "left-posterior-superior"
    with path.open("rb") as stream:
        text = stream.read(65536).split(b"ElementDataFile")[0]
    named = {line.split(b"=")[0].strip() for line in text.splitlines()}
    return b"ElementSpacing" in named and bool(named & {b"Offset", b"Position", b"Origin"})


def _geometry(image: sitk.Image, frame_uid: str, path: Path) -> ImageGeometry:
    try:
        return geometry_from_sitk(image, frame_uid)
    except ValueError as error:
        raise UnusableImage(f"{path}: {error}") from error


def _disagreement(header: Mapping[str, str], geometry: ImageGeometry) -> tuple[Finding, ...]:
    """Report a NIfTI header whose two transforms put a corner in different places."""
    if any(int(header.get(key, "0")) <= 0 for key in ("qform_code", "sform_code")):
        return ()
    vector = [float(header[f"quatern_{n}"]) for n in "bcd"]
    real = np.sqrt(max(0.0, 1 - np.square(vector).sum()))
    scale = np.array([float(header[f"pixdim[{n}]"]) for n in (1, 2, 3)])
    rows = np.array([[float(v) for v in header[f"srow_{n}"].split()] for n in "xyz"])
    # The reader does not pass on qfac, so the handedness is taken as that of the sform.
    scale[2] *= np.sign(np.linalg.det(rows[:, :3]))
    quaternion = np.eye(4)
    quaternion[:3, :3] = Rotation.from_quat([*vector, real]).as_matrix() * scale
    quaternion[:3, 3] = [float(header[f"qoffset_{n}"]) for n in "xyz"]
    corners = geometry.to_index(geometry.corners_mm()) @ (quaternion[:3, :3] - rows[:, :3]).T
    gap = float(np.linalg.norm(corners + quaternion[:3, 3] - rows[:, 3], axis=1).max())
    if gap <= 0.1:
        return ()
    sentence = f"the two transforms of the NIfTI header (qform and sform) differ by {gap:.1f} mm"
    remedy = "check the position against the original DICOM images"
    return (Finding(Severity.WARNING, "nifti_transforms_differ", sentence, remedy=remedy),)


def _frame(
    wanted: str | None, header: Mapping[str, str], image: sitk.Image, array: Array
) -> tuple[str, tuple[Finding, ...]]:
    """Return the frame of reference of a file, and what is odd about it."""
    carried = header.get(_FRAME_KEY, "")
    if wanted and carried and wanted != carried:
        sentence = f"the file names frame of reference {carried} but is used in {wanted}"
        remedy = "make sure that it was drawn on this image, or register it"
        return wanted, (Finding(Severity.WARNING, "frame_replaced", sentence, remedy=remedy),)
    if wanted or carried:
        return wanted or carried, ()
    place = (image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    digest = sha256(repr(place).encode() + np.ascontiguousarray(array).tobytes()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}", ()


def _segments(header: Mapping[str, str]) -> dict[int, Label]:
    """Return the labels that Segment0_..., Segment1_..., ... of a header describe."""
    labels: dict[int, Label] = {}
    n = 0
    while f"Segment{n}_Name" in header:
        value = int(header.get(f"Segment{n}_LabelValue", n + 1))
        colour = [float(c) for c in header.get(f"Segment{n}_Color", "").split()]
        r, g, b = (
            (min(255, max(0, round(255 * c))) for c in colour)
            if len(colour) == 3
            else PALETTE[(value - 1) % len(PALETTE)]
        )
        labels[value] = Label(
            header[f"Segment{n}_Name"], (r, g, b), header.get(f"Segment{n}_Code", "")
        )
        n += 1
    return labels
