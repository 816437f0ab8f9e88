"""A short run of the campaign of surfaces, and what its judge must see."""

from dataclasses import replace

import numpy as np

from meshing.surface import isosurface
from segmentation.volume import LabelMap
from tests.campaigns import surfaces
from tests.meshing.shapes import ellipsoid, grid, label_of
from workstation.phantom import abdomen


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


def test_every_label_of_a_drawn_patient_meets_the_bars():
    """The middle of one on a coarse grid, where parts are thin for their voxels."""
    whole = abdomen(3, spacing_mm=(6.0, 6.0, 7.0), lesions=1).truth
    size = np.array(whole.geometry.size) // 2
    first = size // 2
    block = tuple(slice(a, a + n) for a, n in zip(first[::-1], size[::-1], strict=True))
    geometry = whole.geometry.cropped(tuple(first.tolist()), tuple(size.tolist()))
    labels = LabelMap(whole.array[block].copy(), geometry, whole.labels)
    for shared in (False, True):
        found = list(surfaces.verdicts(labels, shared))
        assert len(found) > 15
        assert [v for v in found if v.faults] == []
