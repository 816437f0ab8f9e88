"""The picture of one slice on a widget, kept until something it shows changes."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPixmap, QTransform

from meshing.surface import SurfaceMesh
from segmentation.volume import Volume
from workstation.fusion import Layer
from workstation.raster import Overlay, Region, Rgb, regions
from workstation.slices import Placement
from workstation.ui.raster import outlines, render, surface_outlines
from workstation.ui.theme import DARK

OUTLINE_PX = 2.0


class SlicePicture:
    """Makes and keeps the slice image, its outlines and both as scaled to the widget.

    Scrolling renews all of it; panning and zooming only scale again; a moving cursor or
    crosshair only copies what is there.
    """

    def __init__(self) -> None:
        self._drawn: tuple[object, ...] = ()
        self._regions: list[Region] = []
        self._outlines: list[tuple[QPainterPath, Rgb]] = []
        self._content: tuple[object, ...] = ()
        self._image = QImage()
        self._view: tuple[object, ...] = ()
        self._pixmap = QPixmap()

    def pixmap(
        self,
        volume: Volume,
        overlays: tuple[Overlay, ...],
        surfaces: tuple[SurfaceMesh, ...],
        window: tuple[float, float],
        placement: Placement,
        pixel_ratio: float,
        layer: Layer | None = None,
    ) -> QPixmap:
        """Return the picture of the whole widget at ``pixel_ratio`` device pixels per pixel."""
        plane = placement.plane
        drawn = (overlays, surfaces, plane)
        if drawn != self._drawn:
            self._regions = regions(overlays, plane)
            self._outlines = outlines(self._regions) + surface_outlines(surfaces, plane)
            self._drawn = drawn
        content = (*drawn, volume, window, layer)
        fresh = content == self._content
        if not fresh:
            self._image = render(volume, plane, window, self._regions, layer)
            self._content = content
        view = (placement, pixel_ratio)
        if not fresh or view != self._view:
            self._pixmap = self._scaled(placement, pixel_ratio)
            self._view = view
        return self._pixmap

    def _scaled(self, placement: Placement, pixel_ratio: float) -> QPixmap:
        size = QSize(placement.width, placement.height) * pixel_ratio
        pixmap = self._pixmap if self._pixmap.size() == size else QPixmap(size)
        pixmap.setDevicePixelRatio(pixel_ratio)
        pixmap.fill(QColor(DARK.view))
        (x, y), (width, height) = placement.corner.tolist(), placement.pixel_size.tolist()
        area = QRectF(x, y, width * placement.plane.columns, height * placement.plane.rows)
        with QPainter(pixmap) as painter:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(area, self._image)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            to_widget = QTransform(width, 0, 0, height, x, y)
            for path, colour in self._outlines:
                # Flat ends: round ones, on every segment, cost ten times more.
                pen = QPen(QColor(*colour), OUTLINE_PX)
                pen.setCapStyle(Qt.PenCapStyle.FlatCap)
                painter.setPen(pen)
                painter.drawPath(to_widget.map(path))
        return pixmap
