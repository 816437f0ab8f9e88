"""A wedge beside a vein: touching it, taking a side of it, or the whole; and sparing it."""

import numpy as np
import pytest

from meshing.centerline import Branch, Centerline, Node
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.cut_surface_stages import cut_wedge
from workstation.planning.drainage import lost_territory
from workstation.planning.resection import margin

AXES = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = ImageGeometry((60, 50, 40), (1.2, 1.2, 1.5), (-35.0, -30.0, -30.0), AXES, "1.2.3")
RADIUS_MM = 4.0
MARGIN_MM = 6.0


def ball(radii_mm: tuple[float, ...], middle_mm: tuple[float, ...], name: str) -> LabelMap:
    k, j, i = np.indices(GRID.shape)
    world = GRID.to_world(np.stack([i, j, k], -1))
    away = np.linalg.norm((world - np.asarray(middle_mm)) / np.asarray(radii_mm), axis=-1)
    return LabelMap((away < 1).astype(np.uint8), GRID, {1: Label(name)})


LIVER = ball((33.0, 27.0, 28.0), (0.0, 0.0, 0.0), "liver")
TUMOR = ball((5.0, 5.0, 5.0), (0.0, -15.0, 0.0), "tumor")
WEDGE = cut_wedge(LIVER, TUMOR, margin_mm=MARGIN_MM)


def vein(y_mm: float) -> Centerline:
    """Return a vein along x, from the right, behind the tumour at so many mm."""
    x = np.linspace(-30.0, 30.0, 121)
    points = np.stack([x, np.full(121, y_mm), np.zeros(121)], axis=1)
    ends = tuple(Node((float(x[n]), y_mm, 0.0), RADIUS_MM, "asked") for n in (0, -1))
    radius = np.full(121, RADIUS_MM)
    return Centerline(points, radius, (Branch(0, 121, 0, 1),), ends, {"root": 0}, "1.2.3", "portal")


# The wedge reaches to y = -15 + 5 + 6 = -4 mm.
@pytest.mark.parametrize(
    ("gap_mm", "codes", "lost"),
    [
        (6.0, [], False),  # away from it
        (3.8, [], False),  # its wall is touched
        (2.0, ["wall_taken"], False),  # a quarter of its width
        (-1.0, ["branches_crossed", "trunk_crossed", "branch_lost"], True),  # more than half
        (-6.0, ["branches_crossed", "trunk_crossed", "branch_lost"], True),  # all of it
    ],
)
def test_a_vein_is_lost_where_half_of_its_width_is_removed(
    gap_mm: float, codes: list[str], lost: bool
) -> None:
    found = lost_territory(LIVER, vein(-4.0 + gap_mm), WEDGE, dissected_mm=0.0)
    assert [f.code for f in found.findings] == codes
    # Behind the wedge, seen from the root on the right, lies more than a third of the organ.
    assert (found.volume_ml() > 0.3 * LIVER.volume_ml()) == lost
    if codes == ["wall_taken"]:
        share = int(found.findings[0].sentence.split("takes ")[1].split(" %")[0])
        assert share == pytest.approx(25, abs=4)
        assert "8.0 mm" in found.findings[0].sentence
    if lost:
        assert f"leaves {found.volume_ml():.0f} mL" in found.findings[-1].sentence


def test_a_vein_that_is_spared_keeps_its_blood_and_the_margin_is_less() -> None:
    tree = vein(-5.0)
    cut = cut_wedge(LIVER, TUMOR, tree, margin_mm=MARGIN_MM, spared_mm=7.0)
    assert not lost_territory(LIVER, tree, cut).array.any()
    # 5 mm from the tumour's surface to the axis less the radius.
    assert margin(TUMOR, cut).numbers[0].value == pytest.approx(1.0, abs=0.7)
    assert margin(TUMOR, cut).findings[0].code != "tumor_crossed"
    thin = cut_wedge(LIVER, TUMOR, tree, margin_mm=MARGIN_MM, spared_mm=9.0)
    assert lost_territory(LIVER, tree, thin, dissected_mm=0.0).array.any()
    with pytest.raises(ValueError, match="no tree"):
        cut_wedge(LIVER, TUMOR, margin_mm=MARGIN_MM, spared_mm=7.0)


def test_beyond_the_organ_nothing_is_cut() -> None:
    # The wedge opens to the front, and so does the endless cone: the vein passes outside there.
    assert lost_territory(LIVER, vein(-34.0), WEDGE).findings == ()
