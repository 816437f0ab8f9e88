"""Image values on a voxel grid, and the only conversions between index and patient space.

Space is DICOM patient LPS in millimetres. World points are (x, y, z); indices are (i, j, k)
along the image axes x, y, z; arrays are indexed ``[k, j, i]``. RAS exists only in the NIfTI
conversions of this module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.contract import Finding, FrameMismatch, Number, Progress, silent

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class ImageGeometry:
    """Where a voxel grid lies in the patient.

    Attributes:
        size: voxels along the image axes (x, y, z).
        spacing_mm: distance between voxel centres along the image axes.
        origin_mm: LPS position of the centre of voxel (0, 0, 0).
        direction: nine row-major cosines; the columns are the image axes in LPS.
        frame_uid: the DICOM frame of reference.

    Raises:
        ValueError: for an empty grid, a spacing that is not positive and finite, or axes
            that are not orthonormal.
    """

    size: tuple[int, int, int]
    spacing_mm: Vector
    origin_mm: Vector
    direction: tuple[float, ...]
    frame_uid: str

    def __post_init__(self) -> None:
        size = tuple(int(n) for n in self.size)
        spacing, origin = (tuple(float(v) for v in a) for a in (self.spacing_mm, self.origin_mm))
        cosines = tuple(float(v) for v in np.asarray(self.direction, float).ravel())
        for name, value in zip(
            ("size", "spacing_mm", "origin_mm", "direction"), (size, spacing, origin, cosines)
        ):
            object.__setattr__(self, name, value)
        if len(size) != 3 or min(size) < 1:
            raise ValueError(f"image size must be three positive counts, not {size}")
        if len(spacing) != 3 or not np.all(np.isfinite(spacing)) or min(spacing) <= 0:
            raise ValueError(f"voxel spacing must be three positive lengths in mm, not {spacing}")
        if len(origin) != 3 or not np.all(np.isfinite(origin)):
            raise ValueError(f"image origin must be three finite coordinates, not {origin}")
        if len(cosines) != 9 or not np.allclose(self.axes.T @ self.axes, np.eye(3), atol=1e-4):
            raise ValueError(f"image axes must be three orthonormal directions, not {cosines}")

    @cached_property
    def axes(self) -> Floats:
        """The 3x3 direction matrix; columns are the image axes x, y, z in LPS."""
        return np.asarray(self.direction, float).reshape(3, 3)

    @cached_property
    def affine(self) -> Floats:
        """The 4x4 matrix from index (i, j, k, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin_mm
        return matrix

    @cached_property
    def inverse_affine(self) -> Floats:
        """The 4x4 matrix from LPS millimetres to (fractional) index (i, j, k, 1)."""
        return np.asarray(np.linalg.inv(self.affine), np.float64)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The array shape (z, y, x)."""
        return (self.size[2], self.size[1], self.size[0])

    @property
    def spacing_kji_mm(self) -> Vector:
        """Spacing in array order (z, y, x), as array libraries ask for it."""
        return (self.spacing_mm[2], self.spacing_mm[1], self.spacing_mm[0])

    @property
    def voxel_ml(self) -> float:
        """The volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def to_world(self, index: npt.ArrayLike) -> Floats:
        """Return LPS mm (x, y, z), shape (..., 3), of indices (i, j, k), shape (..., 3)."""
        points = np.asarray(index, float) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return np.asarray(points)

    def to_index(self, point_mm: npt.ArrayLike) -> Floats:
        """Return fractional indices (i, j, k), shape (..., 3), of LPS mm points (..., 3)."""
        matrix = self.inverse_affine
        return np.asarray(np.asarray(point_mm, float) @ matrix[:3, :3].T + matrix[:3, 3])

    def corners_mm(self) -> Floats:
        """Return the LPS positions, shape (8, 3), of the eight corner voxel centres."""
        return self.to_world(list(product(*((0, n - 1) for n in self.size))))

    def centre_mm(self) -> Floats:
        """Return the LPS position, shape (3,), of the middle of the grid."""
        return self.to_world((np.asarray(self.size) - 1) / 2)

    def plane_mm(self, axis: int, index: float) -> Floats:
        """Return the LPS centres, shape (rows, columns, 3), of one slice across image ``axis``."""
        a, b = (n for n in (2, 1, 0) if n != axis)
        rows, columns = np.mgrid[0 : self.size[a], 0 : self.size[b]]
        grid = np.empty((*rows.shape, 3))
        grid[..., axis], grid[..., a], grid[..., b] = index, rows, columns
        return self.to_world(grid)

    def cropped(self, start: Sequence[int], size: Sequence[int]) -> ImageGeometry:
        """Return the geometry of the block of ``size`` (i, j, k) that begins at ``start``."""
        corner = self.to_world(np.asarray(start, float))
        return replace(
            self,
            size=(int(size[0]), int(size[1]), int(size[2])),
            origin_mm=(float(corner[0]), float(corner[1]), float(corner[2])),
        )

    def resampled(self, spacing_mm: Sequence[float]) -> ImageGeometry:
        """Return a grid of another spacing that covers the same box, voxel edges aligned."""
        new = np.asarray(spacing_mm, float)
        extent = np.asarray(self.size) * np.asarray(self.spacing_mm)
        size = np.maximum(1, np.ceil(extent / new - 1e-6)).astype(int)
        shift = (new - np.asarray(self.spacing_mm)) / 2
        origin = np.asarray(self.origin_mm) + self.axes @ shift
        return ImageGeometry(
            (int(size[0]), int(size[1]), int(size[2])),
            (float(new[0]), float(new[1]), float(new[2])),
            (float(origin[0]), float(origin[1]), float(origin[2])),
            self.direction,
            self.frame_uid,
        )

    def same_grid(self, other: ImageGeometry, tolerance_mm: float = 0.01) -> bool:
        """Tell whether both grids have one frame, one size and corners within the tolerance."""
        return (
            self.frame_uid == other.frame_uid
            and self.size == other.size
            and bool(np.abs(self.corners_mm() - other.corners_mm()).max() <= tolerance_mm)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        return {
            "size": list(self.size),
            "spacing_mm": list(self.spacing_mm),
            "origin_mm": list(self.origin_mm),
            "direction": list(self.direction),
            "frame_uid": self.frame_uid,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ImageGeometry:
        """Read what `to_json` wrote."""
        x, y, z = record["size"]
        return cls(
            (x, y, z),
            tuple(record["spacing_mm"]),
            tuple(record["origin_mm"]),
            tuple(record["direction"]),
            record["frame_uid"],
        )


def _frozen(array: Array) -> Array:
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image: ``array`` [k, j, i] in the unit that ``quantity`` names.

    ``quantity`` is "HU" for CT and names the contrast otherwise, e.g. "MR intensity".
    """

    array: Array
    geometry: ImageGeometry
    quantity: str = "HU"
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        _check_shape(self.array, self.geometry)
        object.__setattr__(self, "array", _frozen(self.array))


@dataclass(frozen=True)
class Label:
    """What one label value means.

    ``code`` is a SNOMED CT identifier where one is known, ``colour`` is sRGB, 0 to 255.
    """

    name: str
    colour: tuple[int, int, int] = (255, 160, 60)
    code: str = ""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Labelled voxels: ``array`` [k, j, i] of uint8 or uint16, 0 is background."""

    array: Array
    geometry: ImageGeometry
    labels: Mapping[int, Label] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        if self.array.dtype == np.bool_:
            object.__setattr__(self, "array", self.array.view(np.uint8))
        if self.array.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"labels must be uint8 or uint16, not {self.array.dtype}")
        _check_shape(self.array, self.geometry)
        object.__setattr__(self, "array", _frozen(self.array))
        ordered = {int(v): self.labels[v] for v in sorted(self.labels)}
        object.__setattr__(self, "labels", MappingProxyType(ordered))

    def mask(self, label: int | str | None = None) -> npt.NDArray[np.bool_]:
        """Return the voxels [k, j, i] of one label (by value or name), or of all labels.

        Raises:
            ValueError: if no label has that name.
        """
        if label is None:
            return np.asarray(self.array != 0)
        return np.asarray(self.array == (label if isinstance(label, int) else self.value(label)))

    def value(self, name: str) -> int:
        """Return the value of the label called ``name``.

        Raises:
            ValueError: if no label has that name.
        """
        for value, label in self.labels.items():
            if label.name == name:
                return value
        known = ", ".join(label.name for label in self.labels.values()) or "none"
        raise ValueError(f"there is no label {name!r}; the labels here are: {known}")

    def volume_ml(self, label: int | str | None = None) -> float:
        """Return the volume in mL: number of voxels times voxel volume."""
        return float(np.count_nonzero(self.mask(label))) * self.geometry.voxel_ml


@dataclass(frozen=True, eq=False)
class LabelPatch:
    """One invertible edit: the block at ``corner`` (k, j, i) was ``before`` and is ``after``."""

    corner: tuple[int, int, int]
    before: Array
    after: Array

    def __post_init__(self) -> None:
        if self.before.shape != self.after.shape or self.before.ndim != 3:
            raise ValueError("a label patch needs two blocks of one three-dimensional shape")
        object.__setattr__(self, "before", _frozen(self.before))
        object.__setattr__(self, "after", _frozen(self.after))

    @property
    def block(self) -> tuple[slice, slice, slice]:
        """The array slices [k, j, i] that the patch covers."""
        k, j, i = (slice(c, c + n) for c, n in zip(self.corner, self.after.shape))
        return k, j, i

    def inverse(self) -> LabelPatch:
        """Return the patch that undoes this one."""
        return LabelPatch(self.corner, self.after, self.before)

    def applied(self, array: Array) -> Array:
        """Return a copy of ``array`` [k, j, i] in which voxels this patch changed are replaced.

        Only voxels whose value the patch changed are written, so an edit survives when the
        proposal below it is recomputed.

        Raises:
            ValueError: as `write_to`.
        """
        result = array.copy()
        self.write_to(result)
        return result

    def write_to(self, array: Array) -> None:
        """Replace, in the writable ``array`` [k, j, i] itself, the voxels this patch changed.

        Raises:
            ValueError: if the block reaches outside the array or its type cannot hold a value.
        """
        block = self.block
        if any(s.start < 0 or s.stop > n for s, n in zip(block, array.shape)):
            raise ValueError(f"edit at {self.corner} reaches outside a label of {array.shape}")
        if self.after.size and self.after.max() > np.iinfo(array.dtype).max:
            raise ValueError(f"label value {self.after.max()} does not fit labels of {array.dtype}")
        np.copyto(array[block], self.after, where=self.before != self.after, casting="unsafe")


@dataclass(frozen=True, eq=False)
class EarlierEdits:
    """The log that another one continues: known by its digest, loaded when it is needed."""

    digest: str
    load: Callable[[], EditLog]


@dataclass(frozen=True, eq=False)
class EditLog:
    """What a hand did to a label on one grid: an earlier log, and the patches that followed.

    Logs form a chain, so that one more stroke costs as much as its own patch, on disk and in
    memory, however long the log is.

    Attributes:
        geometry: the voxel grid of all patches.
        patches: what this log adds to ``earlier``, oldest first.
        earlier: the log that this one continues, if any.
    """

    geometry: ImageGeometry
    patches: tuple[LabelPatch, ...] = ()
    earlier: EarlierEdits | None = None

    def then(self, patch: LabelPatch) -> EditLog:
        """Return this log with one more patch."""
        empty = not self.patches and self.earlier is None
        earlier = None if empty else EarlierEdits(self.digest, lambda: self)
        return EditLog(self.geometry, (patch,), earlier)

    def all_patches(self) -> Iterator[LabelPatch]:
        """Yield every patch of the chain, oldest first; one log at a time is held in memory."""
        links: list[EarlierEdits] = []
        link = self.earlier
        while link is not None:
            links.append(link)
            link = link.load().earlier
        for link in reversed(links):
            yield from link.load().patches
        yield from self.patches

    @cached_property
    def digest(self) -> str:
        """The sha256 of the whole chain: the digest of the earlier log and the own patches."""
        digest = hashlib.sha256(json.dumps(self.geometry.to_json(), sort_keys=True).encode())
        if self.earlier is not None:
            digest.update(self.earlier.digest.encode())
        digest.update(json.dumps([patch.corner for patch in self.patches]).encode())
        for block in (block for patch in self.patches for block in (patch.before, patch.after)):
            digest.update(f"{block.dtype.str}{block.shape}".encode())
            digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()


def _check_shape(array: Array, geometry: ImageGeometry) -> None:
    if array.shape != geometry.shape:
        raise ValueError(f"array of shape {array.shape} does not fit a grid of {geometry.shape}")


def require_same_grid(*values: Volume | LabelMap) -> None:
    """Raise unless all values share one frame and one voxel grid.

    Raises:
        FrameMismatch: naming what differs.
    """
    first = values[0].geometry
    for other in (value.geometry for value in values[1:]):
        if first.frame_uid != other.frame_uid:
            raise FrameMismatch(
                f"the frames of reference differ ({first.frame_uid} and {other.frame_uid}); "
                "register one to the other first"
            )
        if not first.same_grid(other):
            raise FrameMismatch(
                f"the voxel grids differ ({first.size} and {other.size}); resample one first"
            )


def bounding_block(
    mask: Array, padding: tuple[int, int, int] = (0, 0, 0)
) -> tuple[slice, slice, slice] | None:
    """Return the tightest block [k, j, i] around the nonzero voxels of ``mask``, or None.

    ``padding`` (k, j, i) widens it by that many voxels on either side, as far as the array goes.
    """
    block: list[slice] = []
    for axis in range(3):
        part = mask[tuple(block)]
        seen = np.flatnonzero(part.any(axis=tuple(a for a in range(3) if a != axis)))
        if not seen.size:
            return None
        block.append(slice(int(seen[0]), int(seen[-1]) + 1))
    k, j, i = (
        slice(max(0, s.start - p), min(n, s.stop + p))
        for s, p, n in zip(block, padding, mask.shape)
    )
    return k, j, i


def edit(labels: LabelMap, edits: EditLog, *, progress: Progress = silent) -> LabelMap:
    """Apply every hand edit, oldest first.

    Raises:
        FrameMismatch: if the edits were made on another grid.
    """
    if not edits.geometry.same_grid(labels.geometry):
        raise FrameMismatch("the hand edits were made on another grid; undo them or redo them here")
    array: Array = labels.array.copy()
    for patch in edits.all_patches():
        patch.write_to(array)
    return replace(labels, array=array, numbers=())
