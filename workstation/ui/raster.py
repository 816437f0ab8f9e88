"""Hands slices to Qt: pixels as an image, outlines as paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QByteArray, QDataStream
from PySide6.QtGui import QImage, QPainterPath

from meshing.surface import SurfaceMesh
from segmentation.volume import Volume
from workstation.fusion import Layer, fused
from workstation.raster import Pixels, Region, Rgb, outline_segments, shaded, surface_segments
from workstation.slices import SlicePlane

_PATH_POINT = np.dtype([("kind", ">i4"), ("x", ">f8"), ("y", ">f8")])


def render(
    volume: Volume,
    plane: SlicePlane,
    window: tuple[float, float],
    fills: Sequence[Region] = (),
    layer: Layer | None = None,
) -> QImage:
    """Return the slice of ``volume`` seen through a window (width, level), labels on top.

    A ``layer`` lies between the image and the labels.
    """
    if layer is not None:
        return to_image(fused(volume, plane, window, layer, fills))
    return to_image(shaded(volume, plane, window, fills))


def to_image(picture: Pixels) -> QImage:
    """Return an image of its own of 0xffRRGGBB pixels [row, column]."""
    pixels = np.ascontiguousarray(picture)
    rows, columns = pixels.shape
    view = QImage(pixels.data, columns, rows, columns * 4, QImage.Format.Format_RGB32)
    return view.copy()  # the array behind the view dies with this call


def outlines(shown: Sequence[Region]) -> list[tuple[QPainterPath, Rgb]]:
    """Return the outline of each region, with its colour.

    The paths are in picture coordinates: the pixel at column c covers c to c + 1.
    """
    drawn = []
    for region in shown:
        row, column = region.corner
        segments = outline_segments(region.mask) + np.array([column, row])
        drawn.append((segments_path(segments), region.colour))
    return drawn


def surface_outlines(
    surfaces: Sequence[SurfaceMesh], plane: SlicePlane
) -> list[tuple[QPainterPath, Rgb]]:
    """Return where each surface meets a slice, with its colour, in picture coordinates."""
    found = ((surface_segments(surface, plane), surface.colour) for surface in surfaces)
    return [(segments_path(segments), colour) for segments, colour in found if len(segments)]


def segments_path(segments: npt.NDArray[np.float64]) -> QPainterPath:
    """Return a path of separate segments, shape (n, 2, 2), of (x, y).

    The path is read from Qt's own stream format (QDataStream): adding thousands of lines one
    by one from Python is some fifty times slower.
    """
    points = np.empty(2 * len(segments), _PATH_POINT)
    points["kind"] = np.tile((0, 1), len(segments))  # move to, line to
    points["x"], points["y"] = np.reshape(segments, (-1, 2)).T
    count, tail = np.array([len(points)], ">i4"), np.zeros(2, ">i4")
    stream = QDataStream(QByteArray(count.tobytes() + points.tobytes() + tail.tobytes()))
    path = QPainterPath()
    stream >> path
    return path
