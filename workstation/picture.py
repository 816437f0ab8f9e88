"""Pictures of surfaces in 3D, drawn off screen with VTK and without Qt.

The window and the report draw with the same `Scene`, so that a plan looks the same in both.
Everything is in DICOM patient LPS millimetres; see `workstation.camera` for display positions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  registers the OpenGL classes
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import reference, vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkPolyData, vtkStaticCellLocator
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor
from vtkmodules.vtkRenderingCore import vtkLightKit, vtkRenderer, vtkRenderWindow

from workstation.camera import SIDES, Camera, Side, Size, Vector, vector
from workstation.sections import Clip, apply_clip, clipped_ray, face_actors
from workstation.shading import (
    Colour,
    Kind,
    ScalarMap,
    SceneItem,
    Split,
    build_actor,
    build_scalar_bar,
    colour_by_side,
    colour_plain,
    recolour,
    size_text,
    style,
)

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    # Otherwise VTK looks for an X server first and complains aloud that there is none.
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

__all__ = [
    "Colour",
    "Kind",
    "Picture",
    "ScalarMap",
    "Scene",
    "SceneItem",
    "Split",
    "probe",
    "render_scene",
    "render_scenes",
]

Picture = npt.NDArray[np.uint8]

BACKGROUND_TOP = (0x15, 0x1A, 0x20)
BACKGROUND = (0x0B, 0x0E, 0x11)
CUBE_FRACTION = 0.18  # side of the orientation cube's corner, of the picture's height
CUBE_DISTANCE = 4.2  # of the eye, in edges of the cube
MOST_BARS = 3  # colour bars beside each other
MOST_PEELS = 6  # layers of transparency that are sorted; deeper ones are blended unsorted


class Scene:
    """An off-screen render window, its lights, the surfaces shown in it and the eye.

    Attributes:
        camera: the eye; a new value shows with the next `render`.
        frames: how many pictures have been drawn.
    """

    def __init__(self) -> None:
        self.camera = Camera()
        self.frames = 0
        self._items: dict[str, SceneItem] = {}
        self._actors: dict[str, Any] = {}
        self._locators: dict[str, Any] = {}
        self._pickable: dict[str, Any] = {}
        self._split: Split | None = None
        self._clip: Clip = ()
        self._faces: list[Any] = []
        self._faced: tuple[Any, ...] = ()
        self._bars: dict[ScalarMap, Any] = {}
        self._renderer = _main_renderer()
        self._cube = _cube_renderer()
        self._window = vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.SetAlphaBitPlanes(True)
        self._window.SetNumberOfLayers(2)
        self._window.AddRenderer(self._renderer)
        self._window.AddRenderer(self._cube)
        self._lights = vtkLightKit()
        self._lights.SetKeyLightIntensity(1.0)
        self._lights.SetKeyToFillRatio(2.2)
        self._lights.SetKeyToHeadRatio(2.8)
        self._lights.SetKeyToBackRatio(2.6)
        self._lights.AddLightsToRenderer(self._renderer)

    @property
    def items(self) -> Mapping[str, SceneItem]:
        """What the scene holds, by name."""
        return dict(self._items)

    def set_values(self, items: Mapping[str, SceneItem]) -> bool:
        """Show ``items``; only surfaces that are another object are built anew.

        Returns whether anything changed, so whether a new picture is worth drawing.
        """
        if dict(items) == self._items:
            return False
        for name in self._items.keys() - items.keys():
            self._forget(name)
        for name, item in items.items():
            old = self._items.get(name)
            if old is not None and _shape(old) != _shape(item):
                self._forget(name)
            if name not in self._actors:
                if not item.visible:
                    continue  # what is not seen yet is built when it is
                self._build(name, item)
            elif old is not None and old.scalars != item.scalars:
                recolour(self._actors[name], item)
            style(self._actors[name], item)
        self._items = dict(items)
        self._pickable = {
            n: self._locators[n]
            for n, item in items.items()
            if item.visible and item.kind != "mark"
        }
        self._show_bars()
        self._apply_split()
        return True

    def set_split(self, split: Split | None) -> bool:
        """Colour one item by its side of a plane, or none; return whether anything changed."""
        if split == self._split:
            return False
        self._split = split
        self._apply_split()
        return True

    def set_clip(self, clip: Clip) -> bool:
        """Hide what lies before some planes; return whether anything changed."""
        if clip == self._clip:
            return False
        self._clip = clip
        for name, actor in self._actors.items():
            apply_clip(actor, () if self._items[name].kind == "mark" else clip)
        return True

    def _build(self, name: str, item: SceneItem) -> None:
        actor = self._actors[name] = build_actor(item)
        if item.kind != "mark":
            self._locators[name] = _locator(actor)
        self._renderer.AddActor(actor)
        apply_clip(actor, () if item.kind == "mark" else self._clip)

    def _show_faces(self, draft: bool) -> None:
        """Close the surfaces where the planes cut them; not while they move."""
        wanted = () if draft else (self._clip, tuple(self._items.items()) if self._clip else ())
        if wanted == self._faced:
            return
        for face in self._faces:
            self._renderer.RemoveActor(face)
        self._faces, self._faced = [], wanted
        solid = [
            (name, item)
            for name, item in (self._items.items() if wanted and self._clip else ())
            if item.visible and item.kind not in ("sheet", "mark") and len(item.surface.triangles)
        ]
        solid.sort(key=lambda entry: -float(np.ptp(entry[1].surface.points_mm, axis=0).prod()))
        for rank, (name, item) in enumerate(solid):  # what lies inside another one is seen
            colour = [channel / 255 for channel in item.colour]
            shape = self._actors[name].GetMapper().GetInput()
            self._faces += face_actors(shape, colour, self._clip, rank)
        for face in self._faces:
            self._renderer.AddActor(face)

    def reset(self, size: Size) -> None:
        """Move the eye back or forth until all visible items fit a picture of ``size``."""
        points = [
            item.surface.points_mm
            for item in self._items.values()
            if item.visible and len(item.surface.points_mm)
        ]
        if points:
            self.camera = self.camera.frame(np.concatenate(points), size)

    def look_from(self, side: Side, size: Size) -> None:
        """Look at everything from the patient's ``side``."""
        self.camera = self.camera.look_from(side)
        self.reset(size)

    def pick(self, x: float, y: float, size: Size) -> Vector | None:
        """Return the nearest visible surface point (LPS mm) under the pixel position (x, y).

        It may be asked while another thread draws.
        """
        found = self.pick_item(x, y, size)
        return found[1] if found is not None else None

    def pick_item(self, x: float, y: float, size: Size) -> tuple[str, Vector] | None:
        """Return the item under the pixel position (x, y) and its point there (LPS mm).

        What a plane hides is passed through. It may be asked while another thread draws.
        """
        eye = np.asarray(self.camera.eye_mm)
        reach = self.camera.distance_mm * 100
        ray = clipped_ray(eye, eye + reach * self.camera.ray(x, y, size), self._clip)
        if ray is None:
            return None
        hits = [
            (name, hit)
            for name, locator in self._pickable.items()
            if (hit := _hit(locator, *ray)) is not None
        ]
        return min(hits, key=lambda hit: float(np.linalg.norm(hit[1] - eye)), default=None)

    def cube_side(self, x: float, y: float, size: Size) -> Side | None:
        """Return the side that the orientation cube shows at the pixel position (x, y)."""
        corner = CUBE_FRACTION * size[1]
        x, y = x - size[0] + corner, y
        eye = _cube_camera(self.camera)
        sight = eye.ray(x, y, (round(corner), round(corner)))
        inside = 0 <= x <= corner and 0 <= y <= corner
        places = {
            side: np.asarray(eye.eye_mm) + sight * (0.5 - np.dot(eye.eye_mm, out)) / facing
            for side, (out, _) in SIDES.items()
            if (facing := float(sight @ np.asarray(out))) < -1e-9
        }
        hits = (side for side, place in places.items() if np.abs(place).max() < 0.5 + 1e-6)
        return next(hits, None) if inside else None

    def render(
        self, width: int, height: int, *, draft: bool = False, camera: Camera | None = None
    ) -> Picture:
        """Draw the scene; return uint8 (height, width, 3), sRGB, top row first.

        A ``draft`` sorts transparent surfaces as wholes instead of pixel by pixel, which
        takes a fraction of the time without a graphics card. ``camera`` is an eye for this
        picture only. Afterwards another thread may draw, or close the scene.
        """
        eye = camera or self.camera
        self._show_faces(draft)
        self._renderer.SetUseDepthPeeling(not draft)
        self._renderer.SetUseFXAA(not draft)
        _aim(self._renderer, eye)
        self._aim_cube(eye, width, height)
        for bar in self._bars.values():
            size_text(bar, height)
        self._window.SetSize(width, height)
        self._window.Render()
        self.frames += 1
        pixels = vtkUnsignedCharArray()
        self._window.GetPixelData(0, 0, width - 1, height - 1, 0, pixels, 0)
        self._window.ReleaseCurrent()
        rows = vtk_to_numpy(pixels).reshape(height, width, 3)
        return np.ascontiguousarray(rows[::-1])

    def close(self) -> None:
        """Give the graphics memory back; the scene cannot draw afterwards."""
        self.set_clip(())
        self._show_faces(draft=True)
        self.set_values({})
        self._window.Finalize()

    def _forget(self, name: str) -> None:
        actor = self._actors.pop(name, None)
        self._locators.pop(name, None)
        if actor is not None:
            self._renderer.RemoveActor(actor)

    def _show_bars(self) -> None:
        """Explain the colours of the visible items that are coloured by a quantity."""
        maps = (item.scalars for item in self._items.values() if item.visible and item.scalars)
        shown = tuple(dict.fromkeys(scalars.legend for scalars in maps))[:MOST_BARS]
        if shown == tuple(self._bars):
            return
        for bar in self._bars.values():
            self._renderer.RemoveViewProp(bar)
        self._bars = {legend: build_scalar_bar(legend, n) for n, legend in enumerate(shown)}
        for bar in self._bars.values():
            self._renderer.AddViewProp(bar)

    def _apply_split(self) -> None:
        for name, actor in self._actors.items():
            if self._split is not None and self._split.name == name:
                colour_by_side(actor, self._split)
            else:
                colour_plain(actor)

    def _aim_cube(self, camera: Camera, width: int, height: int) -> None:
        side = CUBE_FRACTION * height
        self._cube.SetViewport(1 - side / max(width, 1), 1 - CUBE_FRACTION, 1, 1)
        _aim(self._cube, _cube_camera(camera))


def render_scene(items: Mapping[str, SceneItem], camera: Camera | Side, size: Size) -> Picture:
    """Return one picture, uint8 (height, width, 3), of ``items``.

    ``camera`` is an eye, or the side of the patient from which everything is shown. The
    picture is drawn at twice ``size`` and averaged, which smooths every edge.
    """
    return next(render_scenes([items], camera, size))


def render_scenes(
    scenes: Iterable[Mapping[str, SceneItem]], camera: Camera | Side, size: Size
) -> Iterator[Picture]:
    """Yield pictures of one scene after the other, as `render_scene` draws them."""
    width, height = size
    scene = Scene()
    try:
        for number, items in enumerate(scenes):
            scene.set_values(items)
            if isinstance(camera, Camera):
                scene.camera = camera
            elif number == 0:
                scene.look_from(camera, size)
            fine = scene.render(2 * width, 2 * height).reshape(height, 2, width, 2, 3)
            smooth: Picture = (fine.mean(axis=(1, 3)) + 0.5).astype(np.uint8)
            yield smooth
    finally:
        scene.close()


@cache
def probe() -> str | None:
    """Return why 3D cannot be drawn on this machine, or None; the answer is kept.

    A small picture is drawn in another process, because VTK ends the process that asks for
    OpenGL where there is none.
    """
    code = "from workstation.picture import Scene; Scene().render(8, 8)"
    try:
        run = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"3D cannot be drawn here: the test picture did not finish ({error})"
    if run.returncode == 0:
        return None
    return (
        "3D cannot be drawn here: OpenGL did not start "
        f"(exit code {run.returncode}). Install a graphics driver, or the packages "
        "libegl1 and libgl1 (Mesa), and start again."
    )


def _locator(actor: Any) -> Any:
    shape = vtkPolyData()  # one of its own: it is asked on one thread and drawn on another
    shape.CopyStructure(actor.GetMapper().GetInput())
    shape.BuildCells()
    locator = vtkStaticCellLocator()
    locator.SetDataSet(shape)
    if shape.GetNumberOfCells():  # VTK complains of none
        locator.BuildLocator()
    return locator


def _hit(locator: Any, start: Any, end: Any) -> Any:
    if not locator.GetDataSet().GetNumberOfCells():
        return None
    point, local = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    along, part, cell = reference(0.0), reference(0), reference(0)
    found = locator.IntersectWithLine(start, end, 1e-6, along, point, local, part, cell)
    return vector(np.array(point)) if found else None


def _cube_camera(camera: Camera) -> Camera:
    return Camera(vector(camera.axes[2] * CUBE_DISTANCE), up=camera.up)


def _aim(renderer: Any, camera: Camera) -> None:
    eye = renderer.GetActiveCamera()
    eye.SetPosition(camera.eye_mm)
    eye.SetFocalPoint(camera.focal_mm)
    eye.SetViewUp(camera.up)
    eye.SetViewAngle(camera.angle_deg)
    renderer.ResetCameraClippingRange()


def _shape(item: SceneItem) -> tuple[Any, ...]:
    return item.surface, item.kind


def _main_renderer() -> Any:
    renderer = vtkRenderer()
    renderer.SetLayer(0)
    renderer.GradientBackgroundOn()
    renderer.SetBackground(*(channel / 255 for channel in BACKGROUND))
    renderer.SetBackground2(*(channel / 255 for channel in BACKGROUND_TOP))
    renderer.GetCullers().GetLastItem().SetSortingStyleToBackToFront()
    renderer.SetMaximumNumberOfPeels(MOST_PEELS)
    renderer.SetOcclusionRatio(0.0)
    return renderer


def _cube_renderer() -> Any:
    cube = vtkAnnotatedCubeActor()
    for axis, plus, minus in (("X", "L", "R"), ("Y", "P", "A"), ("Z", "S", "I")):
        getattr(cube, f"Set{axis}PlusFaceText")(plus)
        getattr(cube, f"Set{axis}MinusFaceText")(minus)
    cube.SetFaceTextScale(0.6)
    cube.SetZFaceTextRotation(90)
    cube.GetCubeProperty().SetColor(0.40, 0.46, 0.53)
    cube.GetTextEdgesProperty().SetColor(0.97, 0.98, 1.0)
    for axis in ("X", "Y", "Z"):
        for sign in ("Plus", "Minus"):
            getattr(cube, f"Get{axis}{sign}FaceProperty")().SetColor(0.97, 0.98, 1.0)
    renderer = vtkRenderer()
    renderer.SetLayer(1)
    renderer.InteractiveOff()
    renderer.AddActor(cube)
    return renderer
