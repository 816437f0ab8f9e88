"""The measuring tools: their words, the stages they become, and what a hand has taken so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshing.surface import SurfaceMesh
from segmentation.volume import Vector
from workstation.planning.plan import Step
from workstation.slices import point_text
from workstation.ui.words import readable, unit_text, value_text

POINTS, POINT = "points_mm", "click_mm"


@dataclass(frozen=True)
class Tool:
    """One way of measuring: its words, the stage it becomes and how many points it takes.

    ``argument`` is the stage's input: "place" takes what was clicked, "volume" the image and
    "mesh" a surface. With ``most`` points it is done; else with Enter or a double click.
    """

    title: str
    key: str
    icon: str
    tip: str
    stage: str
    argument: str
    least: int
    most: int | None = None


TOOLS: Mapping[str, Tool] = {
    "distance": Tool(
        "Distance", "D", "ph.ruler", "Click two points",
        "meshing.distance", "place", 2, 2,
    ),
    "to_surface": Tool(
        "To surface", "J", "ph.arrow-line-down",
        "Click a point; its distance to the selected surface, or the nearest one",
        "meshing.distance_to_surface", "mesh", 1, 1,
    ),
    "angle": Tool(
        "Angle", "N", "ph.triangle", "Click three points; the angle is at the second",
        "meshing.angle", "place", 3, 3,
    ),
    "lines": Tool(
        "Two lines", "M", "ph.arrows-out-simple",
        "Click two points of one line, then two of another; the angle between them",
        "meshing.angle", "place", 4, 4,
    ),
    "area": Tool(
        "Area", "U", "ph.polygon", "Click around; Enter or a double click closes the curve",
        "meshing.area", "place", 3,
    ),
    "profile": Tool(
        "Profile", "V", "ph.chart-line",
        "Image values along a path; Enter or a double click ends it",
        "segmentation.profile", "volume", 2,
    ),
    "geodesic": Tool(
        "On surface", "W", "ph.path", "The way along a surface; Enter or a double click ends it",
        "meshing.geodesic", "mesh", 2,
    ),
    "plane": Tool(
        "Plane", "Shift+P", "ph.frame-corners",
        "Fit a plane: click three or more points; Enter or a double click ends it",
        "meshing.fit_plane", "place", 3,
    ),
    "sphere": Tool(
        "Sphere", "Shift+S", "ph.globe-simple",
        "Fit a sphere: click four or more points around it, in several slices or in 3D; Enter or "
        "a double click ends it",
        "meshing.fit_sphere", "place", 4,
    ),
    "cylinder": Tool(
        "Cylinder", "Shift+C", "ph.database",
        "Fit a cylinder: click six or more points around it, in several slices or in 3D; Enter "
        "or a double click ends it",
        "meshing.fit_cylinder", "place", 6,
    ),
}  # fmt: skip
ROWS = (
    ("distance", "to_surface", "geodesic"),
    ("angle", "lines", "area", "profile"),
    ("plane", "sphere", "cylinder"),
)


@dataclass
class Taking:
    """A measurement that is being taken: on what, and its points so far (LPS mm)."""

    tool: str
    place: str
    points: list[Vector] = field(default_factory=list)

    def step(self) -> Step:
        """Return the step that this becomes, without its points and name."""
        tool = TOOLS[self.tool]
        return Step(tool.stage, "live", inputs={tool.argument: self.place})


@dataclass
class Held:
    """A point of a measurement under the hand: its step, number, and where all points are now."""

    step: Step
    number: int
    points: list[Vector]
    moved: bool = False


def surface_lines(name: str, surface: SurfaceMesh, spot: Vector | None) -> list[str]:
    """Return the lines that tell about a surface: name, volume and area, the clicked point."""
    known = {n.quantity: n for n in surface.numbers}
    numbers = [
        f"{value_text(n.value, n.unit)} {unit_text(n.unit)}"
        for quantity in ("volume", "area")
        if (n := known.get(quantity)) is not None
    ]
    lines = [readable(name), "   ".join(numbers)]
    return [line for line in (*lines, point_text(spot) if spot is not None else "") if line]
