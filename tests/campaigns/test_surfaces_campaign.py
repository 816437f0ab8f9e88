"""A short run of the campaign of surfaces, and what its judge must see."""

from dataclasses import replace

import numpy as np

from meshing.surface import isosurface
from tests.campaigns import surfaces
from tests.meshing.shapes import ellipsoid, grid, label_of


def test_the_judge_sees_what_is_wrong():
    labels = label_of(grid((14, 12, 10)), ellipsoid((10, 8, 7)))
    mesh = isosurface(labels)
    assert surfaces.judge(labels, "shape", mesh).faults == ()
    moved = replace(mesh, points_mm=mesh.points_mm + labels.geometry.axes[:, 0] * 1.5)
    assert "mean distance" in surfaces.judge(labels, "shape", moved).faults
    assert "largest distance" in surfaces.judge(labels, "shape", moved).faults
    centre = mesh.points_mm.mean(axis=0)
    larger = replace(mesh, points_mm=centre + (mesh.points_mm - centre) * 1.01)
    assert "volume" in surfaces.judge(labels, "shape", larger).faults
    opened = replace(mesh, triangles=mesh.triangles[1:])
    assert "not a manifold" in surfaces.judge(labels, "shape", opened).faults
    dented = mesh.points_mm.copy()
    dented[100] = 3 * centre - 2 * dented[100]
    folded = replace(mesh, points_mm=np.asarray(dented))
    assert "self-intersections" in surfaces.judge(labels, "shape", folded).faults
