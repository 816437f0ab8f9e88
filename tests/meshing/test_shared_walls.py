"""Labels that touch get walls that both sides share, each label closed by itself."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.check import check
from meshing.mesh import SurfaceMesh
from meshing.shared_walls import shared_surfaces, surface_of_label
from segmentation.volume import Label, LabelMap
from tests.meshing.shapes import LEFT_HANDED, OBLIQUE, grid


def _map(voxels: np.ndarray, axes: np.ndarray = LEFT_HANDED) -> LabelMap:
    geometry = grid((2, 3, 4), axes=axes).cropped((0, 0, 0), voxels.shape[::-1])
    names = {int(v): Label(f"part {v}") for v in np.unique(voxels) if v}
    return LabelMap(voxels.astype(np.uint8), geometry, names)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.sampled_from([0.0, None]))
def test_any_labels_are_closed_manifolds_that_share_their_walls(
    seed: int, labels: int, smoothing_mm: float | None
) -> None:
    random = np.random.default_rng(seed)
    voxels = random.integers(0, labels, (5, 4, 6))
    voxels[2, 2, 3] = 1
    walls = shared_surfaces(_map(voxels), smoothing_mm=smoothing_mm)
    parts: dict[str, SurfaceMesh] = {}
    for value in np.unique(voxels[voxels > 0]):
        mesh = parts[f"part {value}"] = surface_of_label(walls, label=f"part {value}")
        report = check(mesh)
        assert report.is_manifold
        assert report.volume_mm3 > 0
        assert not len(report.crossings)
    whole = sum(check(mesh).volume_mm3 for mesh in parts.values())
    outer = surface_of_label(walls, label="outside")
    assert whole == pytest.approx(-check(outer).volume_mm3, rel=1e-9)


@pytest.mark.parametrize("axes", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left"])
def test_organs_keep_their_volumes_and_their_wall(axes: np.ndarray) -> None:
    k, j, i = np.indices((18, 40, 40))
    z, y, x = (k - 8.5) * 2.0, (j - 19.5) * 0.9, (i - 19.5) * 0.9
    voxels = (x**2 + y**2 + z**2 < 15**2).astype(np.uint8)
    voxels[(voxels > 0) & (x + 0.3 * y > 2)] = 2
    voxels[(x + 3) ** 2 + (y - 4) ** 2 + z**2 < 6**2] = 3
    labels = _map(voxels, axes)
    walls = shared_surfaces(labels)
    assert {"part 1|part 2", "part 1|part 3", "part 1|outside"} <= set(walls.boundaries)
    meshes = [surface_of_label(walls, label=f"part {n}") for n in (1, 2, 3)]
    for value, mesh in enumerate(meshes, start=1):
        assert check(mesh).is_sound
        volume = next(n.value for n in mesh.numbers if n.quantity == "volume")
        assert volume == pytest.approx(labels.volume_ml(value), rel=0.005)
    for one, other in combinations(meshes, 2):
        shared = set(map(tuple, one.points_mm)) & set(map(tuple, other.points_mm))
        assert len(shared) > 10
    numbers = {n.quantity: n.value for n in walls.numbers}
    assert sum(numbers[f"volume of part {n}"] for n in (1, 2, 3)) == pytest.approx(
        labels.volume_ml(), rel=0.003
    )


def test_no_label_and_no_such_label() -> None:
    nothing = shared_surfaces(_map(np.zeros((3, 4, 5), int)))
    assert [f.code for f in nothing.findings] == ["empty_label"]
    voxels = np.zeros((4, 4, 4), int)
    voxels[1:3, 1:3, 1:3] = 2
    with pytest.raises(ValueError, match="part 2"):
        surface_of_label(shared_surfaces(_map(voxels)), label="liver")
