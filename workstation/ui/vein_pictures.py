"""What the views show of a named tree of veins: tubes and label by name, names, and numbers.

Points are DICOM patient LPS millimetres, colours sRGB 0 to 255.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QFontMetricsF, QPainter
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from meshing.centerline_tubes import as_vessels
from segmentation.contract import Progress
from segmentation.volume import Label, LabelMap, Vector
from workstation.camera import Camera, Size
from workstation.picture import SceneItem
from workstation.planning.branch_volumes import family
from workstation.planning.vein_names import (
    branch_names,
    colour_of,
    following,
    inner_point,
    width_mm,
)
from workstation.raster import Overlay
from workstation.slices import Placement
from workstation.ui.slice_overlay import halo_text
from workstation.ui.theme import CORNER_FONT_PX, ui_font
from workstation.ui.words import readable

Floats = npt.NDArray[np.float64]

CHOSEN = (255, 255, 255)
WIDER = 1.25  # than the vein is what shows that it is chosen
BESIDE_PX = 5.0
NEAR_MM = 2.5  # a click may miss a vein by so much
PALE = 0.45  # how far a name's colour is moved towards white, to be read on a dark picture


@dataclass(frozen=True, eq=False)
class NamedTree:
    """A named tree, ready to be shown.

    Attributes:
        name: of the plan's result.
        names: of each branch, "" where it has none.
        volumes_ml: of the organ nearest to each branch and what follows it; empty without it.
        items: tubes by what they are called in the scene.
        labels: the vein's voxels by the name of the branch, or None.
    """

    name: str
    tree: Centerline
    names: tuple[str, ...]
    volumes_ml: Floats
    items: Mapping[str, SceneItem]
    labels: LabelMap | None

    def branch_of(self) -> npt.NDArray[np.int64]:
        """Return the number of the branch of each point."""
        sizes = [b.stop - b.start for b in self.tree.branches]
        return np.repeat(np.arange(len(sizes)), sizes)

    def words(self, branch: int) -> str:
        """Say the name and width of a branch."""
        named = readable(self.names[branch]) if self.names[branch] else "Branch without a name"
        return f"{named}, {width_mm(self.tree, branch):.1f} mm wide"

    def chosen(self, branch: int) -> SceneItem:
        """Return what shows that a branch, and what follows it, is chosen."""
        tube = as_vessels(self.tree, following(self.tree, branch), "chosen branch", WIDER)
        return SceneItem(tube, CHOSEN, 0.6, kind="mark")

    def largest(self, name: str) -> int:
        """Return the first branch of a name: the one with the most behind it."""
        own = [n for n, one in enumerate(self.names) if one == name]
        return max(own, key=lambda n: (len(following(self.tree, n)), -n))

    def ordered(self) -> list[str]:
        """Return the names that occur, those nearest to the root first."""
        return sorted({n for n in self.names if n}, key=lambda n: self.names.index(n))


def named_tree(
    name: str, tree: Centerline, liver: LabelMap | None, vein: LabelMap | None, progress: Progress
) -> NamedTree:
    """Return a named tree ready to be shown, with the vein and the organ that it lies in."""
    progress(0.1, "Colouring the veins")
    names = branch_names(tree)
    items = {}
    for one in sorted(set(names)):
        own = [n for n, other in enumerate(names) if other == one]
        called = f"{name}: {readable(one) if one else 'no name'}"
        items[called] = SceneItem(as_vessels(tree, own, called), colour_of(one), kind="vessel")
    progress(0.4, "Measuring what the branches reach")
    volumes = np.zeros(0)
    if liver is not None and liver.geometry.frame_uid == tree.frame_uid and liver.array.any():
        about = family(tree, liver)
        volumes = about.sums(np.ones(len(about.owner))) / len(about.owner) * liver.volume_ml()
    progress(0.7, "Colouring the veins")
    labels = None
    if vein is not None and vein.geometry.frame_uid == tree.frame_uid and vein.array.any():
        labels = _labels(tree, names, vein)
    return NamedTree(name, tree, names, volumes, items, labels)


def _labels(tree: Centerline, names: Sequence[str], vein: LabelMap) -> LabelMap:
    """Return the voxels of a vein by the name of the branch that is nearest to each."""
    order = sorted(set(names))
    sizes = [b.stop - b.start for b in tree.branches]
    codes = np.repeat([order.index(n) + 1 for n in names], sizes).astype(np.uint8)
    index = np.argwhere(vein.array)
    nearest = cKDTree(tree.points_mm).query(vein.geometry.to_world(index[:, ::-1]))[1]
    array = np.zeros(vein.array.shape, np.uint8)
    array[tuple(index.T)] = codes[nearest]
    labels = {n + 1: Label(readable(x) or "no name", colour_of(x)) for n, x in enumerate(order)}
    return LabelMap(array, vein.geometry, labels)


def branch_at(tree: NamedTree, point_mm: Vector) -> tuple[int, float] | None:
    """Return the branch at a point and how far, in mm, it is from the vein's wall, or None."""
    outside = np.linalg.norm(tree.tree.points_mm - point_mm, axis=1) - tree.tree.radius_mm
    nearest = int(np.argmin(outside))
    if outside[nearest] > NEAR_MM:
        return None
    return int(tree.branch_of()[nearest]), float(outside[nearest])


def branch_under(
    tree: NamedTree, camera: Camera, x: float, y: float, size: Size
) -> tuple[int, float] | None:
    """Return the branch under a place of the 3D view and its distance in mm from the eye."""
    eye, ray = np.asarray(camera.eye_mm), np.asarray(camera.ray(x, y, size))
    away = tree.tree.points_mm - eye
    along = away @ ray
    beside = np.linalg.norm(away - along[:, None] * ray, axis=1) - tree.tree.radius_mm
    hit = (beside <= 0.0) & (along > 0)
    if not hit.any():
        hit = (beside <= NEAR_MM) & (beside <= beside.min() + 0.1) & (along > 0)
    if not hit.any():
        return None
    first = int(np.argmin(np.where(hit, along, np.inf)))
    return int(tree.branch_of()[first]), float(along[first])


@dataclass(frozen=True, eq=False)
class VeinNames:
    """The names of trees as they are written over the views.

    Attributes:
        texts: the names; ``colours`` are theirs.
        places_mm: where each stands in 3D, (m, 3).
        points_mm: points (n, 3) on the veins, with the radius and the number of the name of each.
    """

    texts: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    places_mm: Floats
    points_mm: Floats
    radius_mm: Floats
    number: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VeinLooks:
    """What the views show of the veins now.

    Attributes:
        items: tubes by what they are called in the scene.
        overlays: labels by name, for the slices.
        covered: the labels and surfaces of the plan that are not shown beside them.
        names: what is written over the views.
    """

    items: Mapping[str, SceneItem] = field(default_factory=dict)
    overlays: Sequence[Overlay] = ()
    covered: frozenset[str] = frozenset()
    names: VeinNames | None = None


def vein_names(trees: Sequence[NamedTree]) -> VeinNames | None:
    """Return the names of all branches of some trees, None where there are none."""
    texts: list[str] = []
    colours, places, points, radius, number = [], [], [], [], []
    for one in trees:
        owner = one.branch_of()
        for name in one.ordered():
            own = np.isin(owner, [n for n, other in enumerate(one.names) if other == name])
            points.append(one.tree.points_mm[own])
            radius.append(one.tree.radius_mm[own])
            number.append(np.full(int(own.sum()), len(texts)))
            places.append(inner_point(one.tree, one.largest(name)))
            texts.append(short_name(name))
            colours.append(colour_of(name))
    if not texts:
        return None
    return VeinNames(
        tuple(texts),
        tuple(colours),
        np.array(places),
        *map(np.concatenate, (points, radius, number)),
    )


def short_name(name: str) -> str:
    """Return a name short enough to stand in a picture."""
    return readable(name).replace(" hepatic vein", " vein")


def paint_names_on_scene(painter: QPainter, camera: Camera, size: Size, names: VeinNames) -> None:
    """Write each name where its branch is; of names that would cover each other the first."""
    _write(painter, camera.project(names.places_mm, size), names, range(len(names.texts)))


def paint_names_on_slice(painter: QPainter, placement: Placement, names: VeinNames) -> None:
    """Write the names of the branches that meet the slice, where each is widest."""
    flat = placement.to_widget(names.points_mm)
    here = np.abs(flat[:, 2]) * placement.plane.thickness_mm <= names.radius_mm
    widest = np.where(here, names.radius_mm, -1.0)
    places, shown = np.zeros((len(names.texts), 3)), []
    for number in np.unique(names.number[here]).tolist():
        places[number] = flat[int(np.argmax(np.where(names.number == number, widest, -1.0)))]
        shown.append(number)
    _write(painter, places, names, shown)


def _write(painter: QPainter, places: Floats, names: VeinNames, shown: Sequence[int]) -> None:
    painter.setFont(ui_font(CORNER_FONT_PX))
    metrics = QFontMetricsF(painter.font())
    taken: list[QRectF] = []
    for number in shown:
        x, y, _ = (float(v) for v in places[number])
        if not np.isfinite([x, y]).all():
            continue
        text = names.texts[number]
        room = QRectF(x + BESIDE_PX, y - metrics.ascent(), metrics.horizontalAdvance(text),
                      metrics.height())  # fmt: skip
        if any(room.intersects(other) for other in taken):
            continue
        taken.append(room)
        red, green, blue = (round(c + PALE * (255 - c)) for c in names.colours[number])
        halo_text(painter, x + BESIDE_PX, y, text, QColor(red, green, blue))
