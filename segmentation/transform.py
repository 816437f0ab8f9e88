"""How points of one frame of reference map to another: the explicit link between images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from segmentation.contract import Finding, FrameMismatch, Number
from segmentation.volume import Array, Floats, ImageGeometry


@dataclass(frozen=True, eq=False)
class Transform:
    """Takes LPS mm points of the fixed frame to the moving frame: ``M x + d(x)``.

    This is the direction in which images are resampled: for each place of the fixed image it
    says where in the moving image to look.

    Attributes:
        fixed_uid: the frame of reference that points come from.
        moving_uid: the frame of reference that they go to.
        matrix: the 4x4 affine part ``M``, row by row.
        geometry: the grid of ``displacement_mm``, in the fixed frame.
        displacement_mm: ``d`` [k, j, i, (x, y, z)] in mm, linear between its nodes and as at the
            nearest border node outside; None where the map is affine.
        findings: what a reader must know, such as folding.
        numbers: how well the images agree.

    Raises:
        ValueError: for a matrix that is singular or not affine, or a field of another shape.
    """

    fixed_uid: str
    moving_uid: str
    matrix: tuple[float, ...]
    geometry: ImageGeometry
    displacement_mm: Array | None = None
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        matrix = tuple(float(v) for v in self.matrix)
        square = np.asarray(matrix).reshape(4, 4) if len(matrix) == 16 else np.zeros((4, 4))
        affine = np.array_equal(square[3], (0, 0, 0, 1)) and np.all(np.isfinite(square))
        if not affine or abs(np.linalg.det(square)) < 1e-6:
            raise ValueError("a transform needs an affine 4x4 matrix that can be inverted")
        object.__setattr__(self, "matrix", matrix)
        if self.displacement_mm is not None:
            field = np.ascontiguousarray(self.displacement_mm, np.float32).view()
            if field.shape != (*self.geometry.shape, 3):
                raise ValueError(
                    f"a displacement of shape {field.shape} does not fit its grid "
                    f"{self.geometry.shape}"
                )
            field.setflags(write=False)
            object.__setattr__(self, "displacement_mm", field)

    @property
    def frame_uid(self) -> str:
        """The frame of reference that points come from."""
        return self.fixed_uid

    @property
    def affine(self) -> Floats:
        """The 4x4 affine part."""
        return np.asarray(self.matrix).reshape(4, 4)

    def apply(self, points_mm: npt.ArrayLike) -> Floats:
        """Return where points (..., 3) of the fixed frame lie in the moving frame, LPS mm."""
        points = np.asarray(points_mm, float)
        moved = points @ self.affine[:3, :3].T + self.affine[:3, 3]
        return moved if self.displacement_mm is None else moved + self._displaced(points)

    def _displaced(self, points: Floats) -> Floats:
        assert self.displacement_mm is not None
        last = np.asarray(self.geometry.size) - 1
        index = np.clip(self.geometry.to_index(points), 0, last)
        low = np.minimum(index.astype(int), np.maximum(last - 1, 0))
        part = index - low
        total = np.zeros(points.shape)
        for corner in np.ndindex(2, 2, 2):
            at = np.minimum(low + corner, last)
            weight = np.prod(np.where(corner, part, 1 - part), axis=-1)
            value = self.displacement_mm[at[..., 2], at[..., 1], at[..., 0]]
            total += weight[..., None] * value
        return total

    def inverted(self) -> Transform:
        """Return the way back of an affine transform.

        Raises:
            ValueError: for a deformable one, which has no exact inverse.
        """
        if self.displacement_mm is not None:
            raise ValueError(
                "a deformable transform has no exact inverse; register in the other direction"
            )
        inverse = tuple(np.linalg.inv(self.affine).ravel().tolist())
        return Transform(self.moving_uid, self.fixed_uid, inverse, self.geometry)

    def jacobian(self) -> Floats:
        """Return the local volume ratio [k, j, i] on the grid; zero or less means folding."""
        if self.displacement_mm is None:
            return np.full(self.geometry.shape, float(np.linalg.det(self.affine[:3, :3])))
        spacing = self.geometry.spacing_kji_mm
        gradient = np.empty((*self.geometry.shape, 3, 3))
        for axis, step in enumerate(spacing):  # along k, j, i: columns z, y, x of the grid
            if self.geometry.shape[axis] > 1:
                slope = np.gradient(self.displacement_mm.astype(float), step, axis=axis)
            else:
                slope = np.zeros(self.displacement_mm.shape)
            gradient[..., 2 - axis] = slope
        # Derivatives run along the grid's axes: turn them to x, y, z.
        turned = gradient @ self.geometry.axes.T
        return np.asarray(np.linalg.det(self.affine[:3, :3] + turned))

    def to_sitk(self) -> sitk.Transform:
        """Return the same map for SimpleITK."""
        affine = sitk.AffineTransform(3)
        affine.SetMatrix(self.affine[:3, :3].ravel().tolist())
        affine.SetTranslation(self.affine[:3, 3].tolist())
        if self.displacement_mm is None:
            return affine
        # A composite first displaces, then maps: M (x + e) with e the displacement before M.
        linear = np.linalg.inv(self.affine[:3, :3])
        before = np.ascontiguousarray(self.displacement_mm.astype(np.float64) @ linear.T)
        image = sitk.GetImageFromArray(before, isVector=True)
        image.SetOrigin(self.geometry.origin_mm)
        image.SetSpacing(self.geometry.spacing_mm)
        image.SetDirection(self.geometry.direction)
        return sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(image)])

    def require(self, fixed_uid: str, moving_uid: str) -> None:
        """Raise unless the transform links these two frames.

        Raises:
            FrameMismatch: naming both pairs.
        """
        if (self.fixed_uid, self.moving_uid) != (fixed_uid, moving_uid):
            raise FrameMismatch(
                f"the transform goes from frame {self.fixed_uid} to {self.moving_uid}, "
                f"not from {fixed_uid} to {moving_uid}; use the one of this pair of images"
            )
