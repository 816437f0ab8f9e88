"""How a surface is drawn: its matter, transparency, side of a cut, or a quantity on it.

Points are DICOM patient LPS millimetres, colours sRGB 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import vtkmodules.vtkRenderingFreeType  # noqa: F401  registers the text of the scalar bar
from vtkmodules.vtkCommonCore import vtkLookupTable
from vtkmodules.vtkFiltersCore import vtkPolyDataNormals
from vtkmodules.vtkRenderingAnnotation import vtkScalarBarActor
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

from meshing.surface import SurfaceMesh, to_vtk
from workstation.camera import Vector

Colour = tuple[int, int, int]
Kind = Literal["organ", "vessel", "bone", "device", "sheet", "mark"]

# Ten even steps of viridis (Smith and van der Walt, 2015, CC0): even to the eye, readable in
# grey and with the common colour-vision deficiencies.
MAGNITUDE: tuple[Colour, ...] = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37),
)  # fmt: skip
# Blue over a neutral middle to red, after Moreland, Diverging color maps, 2009.
DIVERGING: tuple[Colour, ...] = (
    (59, 76, 192), (104, 138, 239), (170, 199, 253), (221, 221, 221),
    (247, 184, 156), (231, 116, 91), (180, 4, 38),
)  # fmt: skip
NO_VALUE: Colour = (90, 96, 104)
STEPS = 256
BAR_APART, BAR_WIDTH = 0.17, 0.15  # from bar to bar, and of one with its words, of the width
TEXT_FRACTION = 0.027  # of the picture's height
TEXT = (0.90, 0.92, 0.93)

# kind -> (ambient, diffuse, specular, specular power)
SHINE: dict[Kind, tuple[float, float, float, float]] = {
    "organ": (0.06, 0.92, 0.10, 18.0),
    "vessel": (0.06, 0.90, 0.35, 40.0),
    "bone": (0.08, 0.92, 0.06, 12.0),
    "device": (0.06, 0.86, 0.45, 60.0),
    "sheet": (0.40, 0.60, 0.05, 10.0),
    "mark": (0.55, 0.45, 0.0, 1.0),
}

FLAT = (0.45, 0.55, 0.0, 1.0)  # little shade, so that colours can be read off the bar

# The outline of a transparent organ: opaque where the surface turns away from the viewer.
# Too bright a colour is dimmed as a whole, because a channel cut off alone would change the hue.
RIM = """//VTK::Light::Impl
  if (opacity < 1.0) {
    float turned = 1.0 - abs(normalVCVSOutput.z);
    float edge = turned * turned * turned;
    vec3 light = fragOutput0.rgb * (1.25 + 0.5 * edge);
    fragOutput0.rgb = light / max(1.0, max(light.r, max(light.g, light.b)));
    fragOutput0.a = mix(opacity, 1.0, 0.7 * edge);
  }
"""
# The side of the cut plane decides the colour of each pixel; no geometry is touched.
SPLIT_VERTEX = {
    "//VTK::PositionVC::Dec": "//VTK::PositionVC::Dec\nout vec3 positionLPS;\n",
    "//VTK::PositionVC::Impl": "//VTK::PositionVC::Impl\n  positionLPS = vertexMC.xyz;\n",
}
SPLIT_FRAGMENT = {
    "//VTK::PositionVC::Dec": "//VTK::PositionVC::Dec\nin vec3 positionLPS;\n",
    "//VTK::Color::Impl": """//VTK::Color::Impl
  if (dot(positionLPS - splitPoint, splitNormal) > 0.0) {
    ambientColor = ambientIntensity * splitColour;
    diffuseColor = diffuseIntensity * splitColour;
  }
""",
}


@dataclass(frozen=True)
class ScalarMap:
    """Colours a surface by its point data ``array``; vectors count by their length.

    ``low`` and ``high`` are the limits of the bar in ``unit`` and do not follow the data, so
    that two pictures compare. A ``threshold`` is drawn as a line on surface and bar.
    ``diverging`` is for quantities whose middle is neutral, such as a gap; with ``low_is_red``
    what lies below it is drawn in red, such as room that is lacking. A bar that is ``log`` begins
    above zero.

    Raises:
        ValueError: if ``low`` is not below ``high``, or not above zero where it must be.
    """

    array: str
    title: str
    unit: str
    low: float
    high: float
    threshold: float | None = None
    diverging: bool = False
    log: bool = False
    low_is_red: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"the colour bar of {self.title} runs from {self.low} to {self.high}")
        if self.log and not self.low > 0:
            raise ValueError(f"the logarithmic bar of {self.title} begins at {self.low}")

    @property
    def stops(self) -> tuple[Colour, ...]:
        """The colours in even steps from the low end to the high one."""
        if not self.diverging:
            return MAGNITUDE
        return DIVERGING[::-1] if self.low_is_red else DIVERGING

    @property
    def legend(self) -> ScalarMap:
        """The same bar, whatever array it explains."""
        return replace(self, array="")


@dataclass(frozen=True)
class SceneItem:
    """One surface and how it is drawn: sRGB colour 0 to 255, opacity 0 to 1, and its matter.

    A "sheet" is an open surface, such as a cut; all other kinds are closed. A "mark" is drawn
    to be read, such as a measured line, and cannot be picked. ``scalars``
    replaces the colour by a quantity on the surface.
    """

    surface: SurfaceMesh
    colour: Colour
    opacity: float = 1.0
    visible: bool = True
    kind: Kind = "organ"
    scalars: ScalarMap | None = None


@dataclass(frozen=True)
class Split:
    """Colours item ``name`` anew where it lies on the side that ``normal`` (LPS) points to."""

    name: str
    point_mm: Vector
    normal: Vector
    colour: Colour


def build_actor(item: SceneItem) -> Any:
    """Return a vtkActor of the surface of ``item``; `style` gives it the rest.

    Raises:
        ValueError: if the surface lacks the quantity that shall colour it.
    """
    normals = vtkPolyDataNormals()
    normals.SetInputData(to_vtk(item.surface))
    normals.ConsistencyOff()
    normals.SetSplitting(item.kind == "device")  # made things have sharp edges, organs none
    normals.SetFeatureAngle(40)
    normals.Update()
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(normals.GetOutput())
    _colour(mapper, item)
    mapper.SetVBOShiftScaleMethod(0)  # the split shader needs coordinates in mm
    actor = vtkActor()
    actor.SetMapper(mapper)
    colour_plain(actor)
    return actor


def recolour(actor: Any, item: SceneItem) -> None:
    """Colour ``actor`` by another quantity of its surface, without building it anew.

    Raises:
        ValueError: if the surface lacks that quantity.
    """
    _colour(actor.GetMapper(), item)


def style(actor: Any, item: SceneItem) -> None:
    """Give ``actor`` the colour, opacity, visibility and matter of ``item``."""
    ambient, diffuse, specular, power = FLAT if item.scalars else SHINE[item.kind]
    look = actor.GetProperty()
    look.SetColor(*(channel / 255 for channel in item.colour))
    look.SetOpacity(item.opacity)
    look.SetAmbient(ambient)
    look.SetDiffuse(diffuse)
    look.SetSpecular(specular)
    look.SetSpecularPower(power)
    # Of a closed transparent surface only the near wall is drawn: clearer, and half the work.
    look.SetBackfaceCulling(item.opacity < 1 and item.kind != "sheet")
    actor.SetVisibility(item.visible)


def colour_plain(actor: Any) -> None:
    """Colour ``actor`` in one colour, with an outline where it is transparent."""
    shaders = actor.GetShaderProperty()
    if shaders.GetNumberOfShaderReplacements() != 1:
        shaders.ClearAllShaderReplacements()
        shaders.AddFragmentShaderReplacement("//VTK::Light::Impl", True, RIM, False)


def colour_by_side(actor: Any, split: Split) -> None:
    """Colour ``actor`` by its side of the plane; later calls only move the plane."""
    shaders = actor.GetShaderProperty()
    if shaders.GetNumberOfShaderReplacements() == 1:
        for tag, text in SPLIT_VERTEX.items():
            shaders.AddVertexShaderReplacement(tag, True, text, False)
        for tag, text in SPLIT_FRAGMENT.items():
            shaders.AddFragmentShaderReplacement(tag, True, text, False)
    uniforms = shaders.GetFragmentCustomUniforms()
    uniforms.SetUniform3f("splitPoint", split.point_mm)
    uniforms.SetUniform3f("splitNormal", split.normal)
    uniforms.SetUniform3f("splitColour", [channel / 255 for channel in split.colour])


def build_scalar_bar(scalars: ScalarMap, place: int = 0) -> Any:
    """Return the vtkScalarBarActor that explains ``scalars``.

    The first stands in the lower left corner, the next in the lower right, then further in.
    """
    bar = vtkScalarBarActor()
    bar.SetLookupTable(_lookup_table(scalars))
    bar.SetTitle(f"{scalars.title}\n{scalars.unit}")
    bar.SetNumberOfLabels(5)
    bar.SetLabelFormat("{:.3g}")
    inward = 0.02 + place // 2 * BAR_APART
    bar.SetPosition(1 - inward - BAR_WIDTH if place % 2 else inward, 0.05)
    bar.SetWidth(BAR_WIDTH)
    bar.SetHeight(0.45)
    bar.SetBarRatio(0.016 / BAR_WIDTH)
    bar.SetTextPad(5)
    bar.UnconstrainedFontSizeOn()
    for text in (bar.GetTitleTextProperty(), bar.GetLabelTextProperty()):
        text.SetColor(*TEXT)
        text.ShadowOff()
        text.ItalicOff()
        text.BoldOff()
    return bar


def size_text(bar: Any, picture_height: int) -> None:
    """Give the text of the scalar bar its height in a picture of ``picture_height`` pixels."""
    for text in (bar.GetTitleTextProperty(), bar.GetLabelTextProperty()):
        text.SetFontSize(max(round(TEXT_FRACTION * picture_height), 6))


def _colour(mapper: Any, item: SceneItem) -> None:
    scalars = item.scalars
    mapper.SetScalarVisibility(scalars is not None)
    if scalars is None:
        return
    if scalars.array not in item.surface.point_data:
        there = ", ".join(sorted(item.surface.point_data)) or "none"
        raise ValueError(f"the surface has no quantity {scalars.array!r}, only {there}")
    mapper.SetScalarModeToUsePointFieldData()
    mapper.SelectColorArray(scalars.array)
    mapper.SetLookupTable(_lookup_table(scalars))
    mapper.UseLookupTableScalarRangeOn()
    mapper.InterpolateScalarsBeforeMappingOn()


def _lookup_table(scalars: ScalarMap) -> Any:
    stops = np.array(scalars.stops, float) / 255
    steps = np.linspace(0, 1, STEPS)
    colours = [np.interp(steps, np.linspace(0, 1, len(stops)), stops[:, c]) for c in range(3)]
    table = vtkLookupTable()
    table.SetNumberOfTableValues(STEPS)
    table.SetTableRange(scalars.low, scalars.high)
    if scalars.log:
        table.SetScaleToLog10()
    table.SetVectorModeToMagnitude()
    table.SetNanColor([*(channel / 255 for channel in NO_VALUE), 1.0])
    for step, (red, green, blue) in enumerate(np.transpose(colours)):
        table.SetTableValue(step, red, green, blue)
    if scalars.threshold is not None and scalars.low <= scalars.threshold <= scalars.high:
        low, high, at = (
            np.log(value) if scalars.log else value
            for value in (scalars.low, scalars.high, scalars.threshold)
        )
        share = (at - low) / (high - low)
        line = 0.0 if scalars.diverging else 1.0
        table.SetTableValue(min(int(share * STEPS), STEPS - 1), line, line, line)
    return table
