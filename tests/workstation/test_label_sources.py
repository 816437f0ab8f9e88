"""Label files that cannot serve are refused as they are read, in words that help."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segmentation.images import write_labels, write_volume
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.case import CaseError, create_case

GRID = ImageGeometry((14, 12, 10), (0.8, 0.9, 2.0), (-5, 7, 11), tuple(np.eye(3).ravel()), "1.2")
FAR = replace(GRID, size=(5, 6, 7), origin_mm=(2000.0, 0.0, 0.0))


@pytest.mark.parametrize("grid", [GRID, FAR])
def test_a_label_without_a_voxel_is_refused_before_anything_is_computed(
    tmp_path: Path, grid: ImageGeometry
) -> None:
    image, file = tmp_path / "ct.nrrd", tmp_path / "drawn.nrrd"
    write_volume(Volume(np.zeros(GRID.shape, np.int16), GRID), image)
    write_labels(LabelMap(np.zeros(grid.shape, np.uint8), grid, {1: Label("liver")}), file)
    with create_case(tmp_path / "case") as case:
        case.import_file(image, "ct", "volume", "1.2")
        with pytest.raises(CaseError) as raised:
            case.import_file(file, "liver_file", "labels", "1.2")
        said = str(raised.value)
        assert "drawn.nrrd, given as liver, marks no voxel" in said
        assert "the image has 14 x 12 x 10 voxels of 0.8 x 0.9 x 2 mm at -5 to 5, 7 to 17" in said
        assert ("made on another grid" in said) == (grid is FAR)
        assert "liver_file" not in case.record.sources
        case.import_file(file, "tumor_file", "labels", "1.2")  # there may be none


@pytest.mark.parametrize("name", ["liver_file", "tumor_file"])
def test_what_lies_outside_the_image_is_refused_as_it_is_read(tmp_path: Path, name: str) -> None:
    """It would fail only when it is brought onto the image's grid."""
    image, other, file = (tmp_path / n for n in ("ct.nrrd", "chest.nrrd", "drawn.nrrd"))
    write_volume(Volume(np.zeros(GRID.shape, np.int16), GRID), image)
    array = np.zeros(GRID.shape, np.uint8)
    array[2:4, 3:7, 5:8] = 1
    moved = replace(GRID, origin_mm=(-5, 7, 31.0))  # marked from 35 mm on, the image ends at 29
    write_labels(LabelMap(array, moved, {1: Label("liver")}), file)
    with create_case(tmp_path / "case") as case:
        case.import_file(file, name, "labels", "1.2")  # without an image there is nothing to say
        case.import_file(image, "ct", "volume", "1.2")
        with pytest.raises(CaseError, match=r"drawn.nrrd, given as \w+, lies outside the image"):
            case.import_file(file, name, "labels", "1.2")
        write_volume(Volume(np.zeros(GRID.shape, np.int16), moved), other)
        case.import_file(other, "chest", "volume", "1.2")  # it is one of this image
        case.import_file(file, name, "labels", "1.2")
        write_labels(LabelMap(array, GRID, {1: Label("liver")}), file)
        case.import_file(file, name, "labels", "1.2")
