"""Which voxels a slice view shows, and where they lie on the screen and in the patient.

Slices are shown as radiologists expect: in axial and coronal views the patient's right is on
the left of the screen, anterior is up in axial views, superior is up in coronal and sagittal
views, and anterior is on the left in sagittal views. An oblique volume is shown along its own
axes, each view along the axis nearest to its own; the letters say how oblique it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segmentation.volume import Array, Floats, ImageGeometry, Vector

ViewName = Literal["axial", "coronal", "sagittal"]

# (patient axis, sign) in LPS of what points through the view (the way the wheel goes when
# turned away from the hand: superior, anterior, right), to the right and down the screen.
_VIEWS: dict[ViewName, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, 1), (0, 1), (1, 1)),
    "coronal": ((1, -1), (0, 1), (2, -1)),
    "sagittal": ((0, -1), (1, 1), (2, -1)),
}
NEAR_SLICES = 0.5  # what is this many slices away lies in the slice
_LETTERS = ("LR", "PA", "SI")
_LEAST_COSINE = 0.25  # a direction is named after every axis that is closer than 75 degrees


@dataclass(frozen=True)
class SlicePlane:
    """One slice of a volume in display orientation.

    Pixels are (column, row), counted from the top left as shown; whole numbers are voxel
    centres. ``axis``, ``across`` and ``down`` are the image axes (0, 1, 2 for x, y, z) that
    run through the slices, along rows and along columns.
    """

    geometry: ImageGeometry
    view: ViewName
    index: int
    axis: int
    across: int
    down: int
    across_flipped: bool
    down_flipped: bool

    @property
    def count(self) -> int:
        """How many slices the volume has along this view."""
        return self.geometry.size[self.axis]

    @property
    def columns(self) -> int:
        """Pixels in a row."""
        return self.geometry.size[self.across]

    @property
    def rows(self) -> int:
        """Pixels in a column."""
        return self.geometry.size[self.down]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Width and height of a pixel in mm."""
        return self.geometry.spacing_mm[self.across], self.geometry.spacing_mm[self.down]

    @property
    def thickness_mm(self) -> float:
        """Distance between neighbouring slices in mm."""
        return self.geometry.spacing_mm[self.axis]

    @cached_property
    def forward(self) -> int:
        """The index step (1 or -1) that goes superior, anterior or right."""
        (world, sign), _, _ = _VIEWS[self.view]
        return 1 if self.geometry.axes[world, self.axis] * sign >= 0 else -1

    @cached_property
    def matrix(self) -> Floats:
        """The 4x4 matrix from (column, row, slices away, 1) to LPS mm."""
        index = np.zeros((4, 4))
        for column, (axis, flipped) in enumerate(
            ((self.across, self.across_flipped), (self.down, self.down_flipped))
        ):
            index[axis, column] = -1 if flipped else 1
            index[axis, 3] = self.geometry.size[axis] - 1 if flipped else 0
        index[self.axis, 2], index[self.axis, 3], index[3, 3] = 1, self.index, 1
        return np.asarray(self.geometry.affine @ index)

    @property
    def normal(self) -> Vector:
        """The LPS direction, of length 1, that goes through the slices."""
        return vector(self.geometry.axes[:, self.axis])

    @cached_property
    def inverse(self) -> Floats:
        """The 4x4 matrix from LPS mm to (column, row, slices away, 1)."""
        return np.asarray(np.linalg.inv(self.matrix), np.float64)

    def to_world(self, pixels: npt.ArrayLike) -> Floats:
        """Return LPS mm, shape (..., 3), of (column, row), shape (..., 2), in this slice."""
        return np.asarray(np.asarray(pixels, float) @ self.matrix[:3, :2].T + self.matrix[:3, 3])

    def to_pixel(self, points_mm: npt.ArrayLike) -> Floats:
        """Return (column, row, slices away), shape (..., 3), of LPS mm points (..., 3)."""
        points = np.asarray(points_mm, float)
        return np.asarray(points @ self.inverse[:3, :3].T + self.inverse[:3, 3])

    def at(self, index: int) -> SlicePlane:
        """Return the slice at ``index``, kept inside the volume."""
        return replace(self, index=int(min(max(index, 0), self.count - 1)))

    def through(self, point_mm: npt.ArrayLike) -> SlicePlane:
        """Return the slice nearest to an LPS mm point."""
        return self.at(round(float(self.geometry.to_index(point_mm)[self.axis])))

    def extract(self, array: Array) -> Array:
        """Return the pixels [row, column] of this slice as a view of ``array`` [k, j, i]."""
        where: list[Any] = [slice(None)] * 3
        where[2 - self.axis] = self.index
        pixels = array[tuple(where)]
        if self.down < self.across:  # array axes run opposite to image axes
            pixels = pixels.T
        shown: Array = pixels[
            :: -1 if self.down_flipped else 1, :: -1 if self.across_flipped else 1
        ]
        return shown

    @cached_property
    def letters(self) -> tuple[str, str, str, str]:
        """What the left, right, top and bottom edges of the screen point to, e.g. "R"."""
        right, down = self.matrix[:3, 0], self.matrix[:3, 1]
        return (
            direction_letters(-right),
            direction_letters(right),
            direction_letters(-down),
            direction_letters(down),
        )

    @cached_property
    def position(self) -> str:
        """Where the slice lies along its normal, e.g. "S 12.5 mm", from the frame's origin."""
        normal = self.geometry.axes[:, self.axis]
        offset_mm = float(normal @ self.to_world((0.0, 0.0)))
        return f"{direction_letters(normal * np.sign(offset_mm or 1))} {abs(offset_mm):.1f} mm"


def slice_plane(
    geometry: ImageGeometry,
    view: ViewName,
    index: int | None = None,
    *,
    flip_across: bool = False,
    flip_down: bool = False,
) -> SlicePlane:
    """Return the slice of ``view`` at ``index`` (the middle one by default).

    ``flip_across`` and ``flip_down`` mirror the picture for a surgeon who stands elsewhere.
    """
    axes = nearest_axes(geometry)
    (through, _), (right, right_sign), (down, down_sign) = _VIEWS[view]
    plane = SlicePlane(
        geometry,
        view,
        0,
        axes[through],
        axes[right],
        axes[down],
        bool(geometry.axes[right, axes[right]] * right_sign < 0) != flip_across,
        bool(geometry.axes[down, axes[down]] * down_sign < 0) != flip_down,
    )
    return plane.at(plane.count // 2 if index is None else index)


def nearest_axes(geometry: ImageGeometry) -> tuple[int, int, int]:
    """Return the image axes nearest to the patient's L, P and S; each is used once."""
    cosines = np.abs(geometry.axes)
    best = max(permutations(range(3)), key=lambda p: sum(cosines[w, a] for w, a in enumerate(p)))
    return best[0], best[1], best[2]


def direction_letters(direction: npt.ArrayLike) -> str:
    """Return the letters of an LPS direction, largest part first: "R", or "RA" if oblique."""
    vector = np.asarray(direction, float)
    vector = vector / np.linalg.norm(vector)
    order = sorted(range(3), key=lambda axis: -abs(vector[axis]))
    named = [axis for axis in order if abs(vector[axis]) > _LEAST_COSINE]
    return "".join(_LETTERS[axis][int(vector[axis] < 0)] for axis in named)


def vector(point: npt.ArrayLike) -> Vector:
    """Return three numbers as a tuple of floats."""
    x, y, z = np.asarray(point, float).tolist()
    return x, y, z


def vectors(points: npt.ArrayLike) -> tuple[Vector, ...]:
    """Return one point or several as a tuple of points."""
    return tuple(map(vector, np.reshape(points, (-1, 3))))


def point_text(point_mm: npt.ArrayLike) -> str:
    """Return an LPS mm point in words that need no sign, e.g. "R 12.0  A 3.5  S 80.1 mm"."""
    parts = (
        f"{pair[int(value < 0)]} {abs(value):.1f}"
        for pair, value in zip(_LETTERS, np.asarray(point_mm, float))
    )
    return "  ".join(parts) + " mm"


def parts_in_slice(places: Floats) -> Floats:
    """Return the parts (m, 2, 2) of a polyline that lie within half a slice.

    ``places`` (n, 3) are positions on the slice and, in the third column, slices away. A part
    that crosses steeply is next to a dot.
    """
    a, b = places[:-1], places[1:]
    step = b[:, 2] - a[:, 2]
    level = np.abs(step) < 1e-9
    safe = np.where(level, 1.0, step)
    first, last = ((sign * NEAR_SLICES - a[:, 2]) / safe for sign in (-1, 1))
    low = np.where(level, 0.0, np.clip(np.minimum(first, last), 0, 1))
    high = np.where(level, 1.0, np.clip(np.maximum(first, last), 0, 1))
    kept = np.where(level, np.abs(a[:, 2]) <= NEAR_SLICES, high > low)
    ends = [a[:, :2] + share[:, None] * (b - a)[:, :2] for share in (low, high)]
    return np.stack(ends, axis=1)[kept]


@dataclass(frozen=True)
class Placement:
    """A slice on a widget of ``width`` x ``height`` logical pixels.

    ``zoom`` is relative to the size that just fits; ``pan_mm`` is how far the middle of the
    picture lies right of and below the middle of the widget.
    """

    plane: SlicePlane
    width: int
    height: int
    zoom: float = 1.0
    pan_mm: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def scale(self) -> float:
        """Logical pixels per mm."""
        across_mm, down_mm = self.plane.pixel_mm
        fit = min(
            self.width / (self.plane.columns * across_mm),
            self.height / (self.plane.rows * down_mm),
        )
        return self.zoom * max(fit, 1e-6)

    @cached_property
    def pixel_size(self) -> Floats:
        """Width and height in logical pixels of one image pixel."""
        return np.asarray(self.plane.pixel_mm) * self.scale

    @cached_property
    def corner(self) -> Floats:
        """Widget position (x, y) of the top left corner of the picture."""
        middle = np.array([self.width, self.height]) / 2 + np.asarray(self.pan_mm) * self.scale
        return np.asarray(
            middle - np.array([self.plane.columns, self.plane.rows]) / 2 * self.pixel_size
        )

    def to_widget(self, points_mm: npt.ArrayLike) -> Floats:
        """Return (x, y, slices away), shape (..., 3), of LPS mm points (..., 3)."""
        pixels = self.plane.to_pixel(points_mm)
        pixels[..., :2] = self.corner + (pixels[..., :2] + 0.5) * self.pixel_size
        return pixels

    def to_pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return the (column, row) at a widget position; whole numbers are voxel centres."""
        column, row = (np.array([x, y]) - self.corner) / self.pixel_size - 0.5
        return float(column), float(row)

    def to_world(self, x: float, y: float) -> Vector:
        """Return the LPS mm point of the slice at a widget position."""
        return vector(self.plane.to_world(self.to_pixel(x, y)))

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a widget position lies on the picture."""
        column, row = self.to_pixel(x, y)
        return -0.5 <= column <= self.plane.columns - 0.5 and -0.5 <= row <= self.plane.rows - 0.5

    def clamped(self, x: float, y: float) -> tuple[float, float]:
        """Return the widget position on the picture nearest to (x, y)."""
        low = self.corner
        high = low + np.array([self.plane.columns, self.plane.rows]) * self.pixel_size
        inside = np.clip([x, y], low, high)
        return float(inside[0]), float(inside[1])

    def zoomed(self, factor: float, x: float, y: float) -> Placement:
        """Return this placement zoomed by ``factor``; what lies at (x, y) stays there."""
        zoom = min(max(self.zoom * factor, 0.25), 64.0)
        new = replace(self, zoom=zoom)
        fixed = (np.array([x, y]) - self.corner) / self.pixel_size
        drift = (np.array([x, y]) - (new.corner + fixed * new.pixel_size)) / new.scale
        return replace(new, pan_mm=(self.pan_mm[0] + drift[0], self.pan_mm[1] + drift[1]))

    def panned(self, dx: float, dy: float) -> Placement:
        """Return this placement moved by logical pixels."""
        x, y = self.pan_mm
        return replace(self, pan_mm=(x + dx / self.scale, y + dy / self.scale))

    def line(self, point_mm: npt.ArrayLike, normal: npt.ArrayLike) -> Floats | None:
        """Return where a plane meets the slice, [[x, y], [x, y]] in the widget, or None.

        The plane goes through an LPS mm point; None says that the line misses the widget.
        """
        n = np.asarray(normal, float)
        gradient = np.array([n @ self.plane.matrix[:3, 0], n @ self.plane.matrix[:3, 1]])
        gradient = gradient / self.pixel_size
        x, y = self.width / 2, self.height / 2
        offset = float(n @ (np.asarray(self.to_world(x, y)) - np.asarray(point_mm, float)))
        steepness = float(gradient @ gradient)
        reach = np.hypot(self.width, self.height) / 2
        if steepness * reach**2 <= max(offset**2, 1e-12):
            return None
        foot = np.array([x, y]) - gradient * offset / steepness
        along = np.array([-gradient[1], gradient[0]]) / np.sqrt(steepness)
        return np.asarray([foot - along * 2 * reach, foot + along * 2 * reach])
