"""The four linked views: axial, coronal, sagittal and 3D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from PySide6.QtWidgets import QGridLayout, QWidget

from meshing.aneurysm_neck import Neck
from meshing.surface import SurfaceMesh
from meshing.tracts import is_tract
from segmentation.prompted import marked
from segmentation.volume import LabelMap, Vector, Volume
from workstation.actors import scene_items
from workstation.figures import DOUBLED
from workstation.fusion import Layer
from workstation.picture import SceneItem
from workstation.planning.ablation import ZONE
from workstation.planning.cut_surface import CutSurface
from workstation.planning.plan import Plan
from workstation.planning.resection import CutPlane
from workstation.raster import Overlay, default_window, is_ct
from workstation.session import Window
from workstation.slices import ViewName, vector
from workstation.ui.chosen_looks import chosen_looks, frames_elsewhere, here_only, planes_beside
from workstation.ui.cut_handle import centre_of, reach_mm, telling_direction
from workstation.ui.desk import Desk
from workstation.ui.painted_slices import PaintedSlices, colour_of
from workstation.ui.scene_view import SceneView
from workstation.ui.second_image import layer_over
from workstation.ui.seed_preview import SeedPreview
from workstation.ui.slice_overlay import CutCurve, CutLine
from workstation.ui.slice_view import SliceView
from workstation.ui.vein_pictures import VeinLooks

GAP_PX = 2
CUT_STEP = "cut"
PLACES = {"axial": (0, 0), "coronal": (0, 1), "sagittal": (1, 0), "3d": (1, 1)}
SPLIT_PARTS = ("specimen", "remnant")
FADED = 0.4  # what is left of the opacity of a value that is not up to date
NEAREST = "nearest_point"
TRIAL = "what a change would make"
TRIAL_COLOUR = (77, 163, 255)
SEED_STAGE = "segmentation.refine"
PROMPTS = "prompts"


class FourUp(QWidget):
    """Shows what the desk's session holds; what a hand does in a view goes to the session."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.slices: dict[str, SliceView] = {v: SliceView(v) for v in get_args(ViewName)}
        self.scene = SceneView()
        self.views: dict[str, QWidget] = {**self.slices, "3d": self.scene}
        self._alone = ""
        self._image: Volume | None = None
        self.pending_cut: CutPlane | None = None
        self._handle_of: CutPlane | None = None
        self._flow: Mapping[str, SceneItem] = {}
        self._doubled: frozenset[str] = frozenset()
        self._others_shown: dict[str, SceneItem] = {}
        self._speed: Layer | None = None
        self._held: Mapping[str, SceneItem] = {}
        self._moved: frozenset[str] = frozenset()
        self._veins = VeinLooks()
        self._handle: tuple[Vector, Vector, float] = ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 0.0)
        self.dragging = self._placed = self._posed = False
        self._widened = False
        self._given = self.scene.camera
        self.seed_preview = SeedPreview(desk)
        self._painting = PaintedSlices(desk, self.slices, self.scene, self.overlays)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP_PX)
        for name, view in self.views.items():
            self._grid.addWidget(view, *PLACES[name])
        self.show_only("")
        for name, view in self.slices.items():
            view.maximise_requested.connect(lambda n=name: self._toggle(n))
            view.crosshair_moved.connect(self._move_crosshair)
            view.window_changed.connect(self._change_window)
            view.seed_placed.connect(self._place_seed)
        self.scene.maximise_requested.connect(lambda: self._toggle("3d"))
        self.scene.crosshair_requested.connect(self._move_crosshair)
        desk.left.connect(self.forget)
        desk.bindings.add(self.refresh)

    # Layout --------------------------------------------------------------------------

    @property
    def alone(self) -> str:
        """The name of the view that fills the space, "" while all four are shown."""
        return self._alone

    def show_only(self, name: str) -> None:
        """Give one view all the space; "" shows the four again."""
        self._alone = name
        for other, view in self.views.items():
            view.setVisible(name in ("", other))
        place = PLACES.get(name)
        for n in range(2):
            self._grid.setRowStretch(n, int(place is None or place[0] == n))
            self._grid.setColumnStretch(n, int(place is None or place[1] == n))
        if name:
            self.views[name].setFocus()

    def _toggle(self, name: str) -> None:
        self.show_only("" if self._alone else name)

    # Gestures ------------------------------------------------------------------------

    def _move_crosshair(self, point_mm: Vector) -> None:
        self._desk.session.view.crosshair_mm = point_mm
        for view in self.slices.values():
            view.set_crosshair(point_mm)
        self.scene.set_crosshair(point_mm)

    def _change_window(self, width: float, level: float) -> None:
        self._desk.session.view.window = Window(width, level)
        for view in self.slices.values():
            view.set_window(width, level)

    def _place_seed(self, points_mm: tuple[Vector, ...], foreground: bool) -> None:
        desk = self._desk
        target = desk.hand.target
        if self._is_elsewhere(target):
            return
        if desk.attempt(lambda: desk.session.add_prompt(target, points_mm, foreground)):
            desk.compute(target)
            self.seed_preview.start(target)

    def forget(self) -> None:
        """Let go of everything that is shown: it belongs to a case that is left."""
        self.pending_cut, self._image, self._handle_of = None, None, None
        self.dragging = self._placed = self._posed = False
        if self._widened:
            self._widened = False
            self.show_only("")
        for view in self.slices.values():
            view.set_overlays(())
            view.set_lines(())
            view.set_volume(None)
            view.set_crosshair(None)
        self._flow, self._doubled, self._others_shown = {}, frozenset(), {}
        self._speed, self._held, self._moved = None, {}, frozenset()
        self.scene.set_cut(None)
        self.scene.set_values({})
        self._given = self.scene.camera

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what the session holds now; a view redraws only what changed."""
        desk, view = self._desk, self._desk.session.view
        image = desk.image()
        if image is not None and not self._placed:
            self._place_first(image)
        if not self.dragging:
            self._settle_cut()
        overlays = self.overlays() if image is not None else []
        self._painting.settle()
        foreground, background = self._seeds()
        if image is not self._image:  # overlays of another case must not meet the new image
            self._image = image
            if image is not None and not is_ct(image):  # presets are for CT only
                view.window = Window(*default_window(image))
            for one in self.slices.values():
                one.set_overlays(())
                one.set_volume(image)
        layer = self._layer(image)
        for one in self.slices.values():
            one.set_overlays(overlays)
            one.set_layer(layer)
            one.set_surfaces(self._sliced(image))
            one.set_crosshair(view.crosshair_mm)
            one.set_window(view.window.width, view.window.level)
            one.set_seeds(foreground, background)
            one.set_tool(desk.hand.tool)
            one.set_brush_radius(desk.hand.radius_mm)
        self.scene.set_outlining(desk.hand.tool == "scissors")
        untouched = self.scene.camera == self._given
        items = self._items()
        self._widen(image, bool(items))
        self.scene.set_values(items)
        self.scene.set_clip(view.clip)
        marked = image is not None or self._flow
        self.scene.set_crosshair(view.crosshair_mm if marked else None)
        if not self.dragging:
            self.show_cut(self.current_cut())
        if items and untouched and not self._posed:
            self._pose()
        notice = self._notice()
        self.scene.set_notice(notice)
        for one in self.slices.values():
            one.set_notice(notice)

    def _widen(self, image: Volume | None, filled: bool) -> None:
        """Give the 3D view all the space in a case of surfaces only; a person may take it back."""
        if image is None and filled and not self._widened:
            self._widened = True
            self.show_only("3d")
        elif image is not None and self._widened:
            self._widened = False
            self.show_only("")

    def _items(self) -> dict[str, SceneItem]:
        """Return what the 3D view shows; what is not up to date is faded."""
        bent = self.bent_cut() if self._desk.is_shown(CUT_STEP) else None
        drawn = {**self.surfaces(), **self._necks(), **({CUT_STEP: bent} if bent else {})}
        drawn |= planes_beside(self._desk, CUT_STEP)
        items = scene_items(here_only(drawn, self._elsewhere()))
        looks = chosen_looks(items, self._desk.session.view)
        self._others_shown = {
            name: item
            if self._desk.is_current(name)
            else replace(item, opacity=FADED * item.opacity)
            for name, item in looks.items()
            if name not in self._doubled | self._veins.covered
        }
        self._others_shown |= self._veins.items
        return self._drawn()

    def _drawn(self) -> dict[str, SceneItem]:
        still = {n: item for n, item in self._others_shown.items() if n not in self._moved}
        return {**still, **self._flow, **self._held}

    def hold(self, items: Mapping[str, SceneItem], instead_of: frozenset[str]) -> None:
        """Show what a hand moves as it is held, instead of what depends on it."""
        self._held, self._moved = items, instead_of
        self.scene.set_values(self._drawn())

    def _elsewhere(self) -> frozenset[str]:
        """Return the frames of reference of the images that are not shown."""
        case, image = self._desk.session.case, self._desk.image()
        if case is None or image is None:
            return frozenset()
        return frames_elsewhere(case.record.sources, image.geometry.frame_uid)

    def show_flow(self, items: Mapping[str, SceneItem], doubled: frozenset[str]) -> None:
        """Show what a flow looks like now, instead of the surfaces that it doubles."""
        self._flow = items
        if doubled != self._doubled:
            self._doubled = doubled
            self._items()
        self.scene.set_values(self._drawn())

    def show_veins(self, veins: VeinLooks) -> None:
        """Show trees of veins by name instead of the labels and surfaces that they cover."""
        self._veins = veins
        self.scene.set_names(veins.names)
        for view in self.slices.values():
            view.marks.names = veins.names
        self.refresh()

    def show_speed(self, layer: Layer | None) -> None:
        """Show the speed of a flow over the slices, or not, where no other image lies there."""
        if layer is not self._speed:
            self._speed = layer
            shown = self._layer(self._desk.image())
            for view in self.slices.values():
                view.set_layer(shown)

    def _layer(self, image: Volume | None) -> Layer | None:
        """Return what lies over the image: a second image, a label's doubt, or a flow's speed."""
        speed = self._speed
        if image is None or speed is None:
            return layer_over(self._desk, image)
        here = speed.volume.geometry.frame_uid == image.geometry.frame_uid
        return layer_over(self._desk, image) or (speed if here else None)

    def _notice(self) -> str:
        """Return what the views say while they show earlier values, or wait for an image."""
        desk = self._desk
        return desk.notice(desk.labels().keys() | self.surfaces().keys() | desk.flows().keys())

    def _place_first(self, image: Volume) -> None:
        """Show what a reader wants first: where the tumour is nearest to the cut.

        Until that is known the middle of the image serves; a hand that moved on is left alone.
        """
        session = self._desk.session
        findings = session.summary()["findings"] if session.case is not None else ()
        nearest = next((f["location_mm"] for f in findings if f["code"] == NEAREST), None)
        middle = vector(image.geometry.centre_mm())
        if self._desk.session.view.crosshair_mm in (None, middle):
            self._desk.session.view.crosshair_mm = middle if nearest is None else vector(nearest)
        self._placed = nearest is not None

    def _pose(self) -> None:
        """Turn the 3D view so that the cut tells its parts apart, as long as no hand turned it."""
        cut = self.current_cut()
        if cut is None:
            self.scene.look_from("A")
        else:
            self.scene.look_along(telling_direction(cut.normal))
        self._given = self.scene.camera
        self._posed = cut is not None and not self._desk.busy

    def current_cut(self) -> CutPlane | None:
        """Return the cut that is shown: the one just released, or the plan's."""
        cut = self.pending_cut or self._desk.value(CUT_STEP)
        return cut if isinstance(cut, CutPlane) else None

    def _settle_cut(self) -> None:
        """Let go of the released cut once the plan's own is there, or the plan has another."""
        pending, plan = self.pending_cut, self._desk.session.plan
        if pending is None:
            return
        steps = plan.steps if plan is not None else ()
        asked = [s.params.get("point_mm") for s in steps if s.output == CUT_STEP]
        if self._desk.is_current(CUT_STEP) or asked != [pending.point_mm]:
            self.pending_cut = None

    def overlays(self) -> list[Overlay]:
        """Return the label maps to show over the image, in plan order.

        A cut organ is shown as its parts once they are those of the cut that is shown. What is
        not up to date is faded.
        """
        desk, labels = self._desk, self._desk.labels()
        still = not self.dragging and self.pending_cut is None
        split = still and all(desk.is_current(name) for name in SPLIT_PARTS)
        left_out = {_cut_organ(desk.session.plan)} if split else set(SPLIT_PARTS)
        left_out |= self._veins.covered
        strength = desk.session.view.opacity
        trial = desk.trial
        tried = [Overlay(TRIAL, trial.labels, TRIAL_COLOUR, opacity=0.5)] if trial else []
        return [
            Overlay(
                name,
                value,
                colour_of(name, value),
                opacity=strength if desk.is_current(name) else FADED * strength,
            )
            for name, value in sorted(labels.items(), key=lambda item: item[0] not in SPLIT_PARTS)
            if name not in left_out and desk.is_shown(name) and _lies_in(value, desk.image())
        ] + [*self._veins.overlays, *tried]

    def surfaces(self) -> dict[str, object]:
        """Return the surfaces to show in 3D."""
        shown = {
            name: value
            for name, value in self._desk.results().items()
            if isinstance(value, SurfaceMesh) and self._desk.is_shown(name)
        }
        hidden = {lower for upper, lower in DOUBLED.items() if upper in shown}
        return {name: value for name, value in shown.items() if name not in hidden}

    def _sliced(self, image: Volume | None) -> list[SurfaceMesh]:
        """Return the surfaces that slices show too: tracts and ablation zones."""
        frame = image.geometry.frame_uid if image is not None else ""
        return [
            mesh
            for mesh in self.surfaces().values()
            if isinstance(mesh, SurfaceMesh)
            and mesh.frame_uid == frame
            and len(mesh.triangles)
            and (mesh.name == ZONE or is_tract(mesh))
        ]

    def _necks(self) -> dict[str, object]:
        """Return the necks of aneurysms to show in 3D."""
        found = self._desk.results().items()
        return {n: v for n, v in found if isinstance(v, Neck) and self._desk.is_shown(n)}

    def bent_cut(self) -> CutSurface | None:
        """Return the plan's cut where it is no plane."""
        cut = self._desk.value(CUT_STEP)
        return cut if isinstance(cut, CutSurface) else None

    def show_curve(self, surface: SurfaceMesh) -> None:
        """Draw where a bent cut meets the slices."""
        curve = CutCurve((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), CUT_STEP, False, surface)
        for view in self.slices.values():
            view.set_lines((curve,))

    def show_cut(self, cut: CutPlane | None) -> None:
        """Show a cut plane in all views, or none."""
        stranger = cut is not None and not _lies_in(cut, self._desk.image())
        if cut is None or stranger or CUT_STEP in self._desk.session.view.hidden:
            self.scene.set_cut(None)
            self.scene.set_split(None)
            for view in self.slices.values():
                view.set_lines(())
            bent = self.bent_cut()
            if bent is not None and self._desk.is_shown(CUT_STEP):
                self.show_curve(bent.surface)
            return
        self.show_lines(cut)
        self.show_handle(cut)
        organ = f"{_cut_organ(self._desk.session.plan)}_surface"
        self.scene.set_split(organ if organ in self.surfaces() else None)

    def begin_drag(self) -> None:
        """Leave the cut to the hand that moves it, until `dragging` ends."""
        if not self.dragging:
            self.dragging = True
            for view in self.slices.values():
                view.set_overlays(self.overlays())

    def show_lines(self, cut: CutPlane) -> None:
        """Draw where a cut meets the slices."""
        for view in self.slices.values():
            view.set_lines((CutLine(cut.point_mm, cut.normal, CUT_STEP),))

    def show_handle(self, cut: CutPlane) -> None:
        """Put the 3D handle of a cut in the middle of the organ's section."""
        if cut is not self._handle_of:
            self._handle_of = cut
            self._handle = centre_of(cut), cut.normal, reach_mm(cut)
        self.scene.set_cut(*self._handle)

    def _seeds(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the clicks and strokes that the label in hand is made from."""
        plan, target = self._desk.session.plan, self._desk.hand.target
        step = next((s for s in plan.steps if s.output == target), None) if plan else None
        if self._desk.session.view.marks:
            return self._desk.session.view.marks, ()
        if step is not None and PROMPTS in step.params and not self._is_elsewhere(target):
            prompts = step.params[PROMPTS]
            return marked("inside", prompts), marked("outside", prompts)
        if step is None or step.stage != SEED_STAGE or self._is_elsewhere(target):
            return (), ()
        return step.params.get("foreground_mm", ()), step.params.get("background_mm", ())

    def _is_elsewhere(self, name: str) -> bool:
        """Tell whether a label lies in another frame of reference than the image shown."""
        labels = self._desk.labels().get(name)
        return labels is not None and not _lies_in(labels, self._desk.image())


def _lies_in(value: LabelMap | CutPlane, image: Volume | None) -> bool:
    """Tell whether ``value`` lies in the frame of reference of the image that is shown."""
    frame = value.frame_uid if isinstance(value, CutPlane) else value.geometry.frame_uid
    return image is None or image.geometry.frame_uid == frame


def _cut_organ(plan: Plan | None) -> str:
    """Return the name of the organ that the plan cuts, "" for none."""
    steps = plan.steps if plan is not None else ()
    return next((step.inputs.get("liver", "") for step in steps if step.output == CUT_STEP), "")
