import numpy as np
import pytest
import trimesh

from hemodynamics.porous import PorousRegion, drag_of, inside, require_same_frame, thickness_mm
from meshing.mesh import OpenSurface, SurfaceMesh
from segmentation.contract import FrameMismatch
from workstation.formats import FORMATS, digest_value, kind_of

BALL = trimesh.creation.icosphere(subdivisions=3, radius=2.0)
CENTRE = np.array([3.0, -7.0, 11.0])
SURFACE = SurfaceMesh(BALL.vertices + CENTRE, BALL.faces, "1.2", "coil")


def test_cells_inside_are_those_of_the_ball():
    region = PorousRegion(SURFACE, 1e-8, 100.0)
    i, j, k = np.indices((30, 17, 12))
    cells = np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1) * 0.31 + [-1.0, -8.0, 9.5]
    away = np.linalg.norm(cells - CENTRE, axis=1)
    found = inside(region, cells, 0.31)
    assert found[away < 1.95].all()
    assert not found[away > 2.01].any()
    assert 0 < found.sum() < len(cells)
    assert not inside(region, cells + 20.0, 0.31).any()


def test_what_is_no_region_is_refused():
    for wrong in ((0.0, 0.0), (-1e-9, 0.0), (1e-9, -1.0), (np.nan, 0.0)):
        with pytest.raises(ValueError, match="no porous region"):
            PorousRegion(SURFACE, *wrong)
    with pytest.raises(OpenSurface):
        PorousRegion(SURFACE.reshaped(SURFACE.points_mm, SURFACE.triangles[1:]), 1e-9)
    other = SurfaceMesh(SURFACE.points_mm, SURFACE.triangles, "1.3")
    with pytest.raises(FrameMismatch):
        require_same_frame(PorousRegion(SURFACE, 1e-9), other)


def test_a_region_is_kept_in_a_case(tmp_path):
    region = PorousRegion(SURFACE, 2e-9, 50.0, "a packing of 25 percent", "coil")
    form = FORMATS[kind_of(region)]
    form.write(region, tmp_path / "region.npz")
    again = form.read(form.record(region), tmp_path / "region.npz")
    assert digest_value(again) == digest_value(region)
    assert (again.permeability_m2, again.inertial_1_m) == (2e-9, 50.0)


@pytest.mark.parametrize("turn", [0.0, 0.4, 0.8])
def test_a_thin_sheet_has_no_gap_and_its_whole_resistance(turn):
    thin, k = 0.1, 1e-9
    box = trimesh.creation.box((6.0, 6.0, thin)).subdivide().subdivide()
    box.apply_transform(trimesh.transformations.rotation_matrix(turn, (1.0, 0.5, 0.0)))
    region = PorousRegion(SurfaceMesh(box.vertices, box.faces, "1.2"), k, 100.0)
    assert thickness_mm(region) == pytest.approx(thin)
    i, j, k_ = np.indices((21, 21, 21)) - 10
    cells = np.stack([i.ravel(), j.ravel(), k_.ravel()], axis=1) * 0.31 + [0.02, 0.05, 0.03]
    drag = drag_of(region, cells, 0.31, 1e-4, 3.3)
    linear = drag.linear.reshape(21, 21, 21)[7:14, 7:14]
    assert (linear.max(axis=2) > 0).all(), "blood passes nowhere beside it"
    along = linear.sum(axis=2) * 0.31  # through the sheet, which is slanted there
    normal = np.linalg.svd(box.vertices)[2][2]
    expected = 3.3 * 1e-4 / (1e6 * k) * thin / abs(normal[2])
    assert along.mean() == pytest.approx(expected, rel=0.12)
    assert drag.quadratic.max() / drag.linear.max() == pytest.approx(
        0.5e-3 * 100.0 * 0.31 / (3.3 * 1e-4 / (1e6 * k))
    )
