import csv
import json
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from segmentation.images import write_labels, write_volume
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.case import CaseError, create_case
from workstation.dicom_set import write_dicom_set, write_report_file
from workstation.export import IMAGES, SURFACES, TABLES, endings, export
from workstation.importing import start_plan
from workstation.planning.template import find_template

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
GRID = ImageGeometry((40, 36, 24), (4.0, 4.5, 6.0), (-90, -60, 90), OBLIQUE, "1.2")
CUT = [("cut", "point_mm", [-40.0, 50.0, 150.0]), ("cut", "normal", [-0.6, 0.0, 0.8])]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    liver = np.zeros(GRID.shape, np.uint8)
    liver[4:20, 6:30, 5:30] = 1
    liver[10:20, 6:14, 5:12] = 0
    tumor = np.zeros(GRID.shape, np.uint8)
    tumor[14:17, 20:24, 8:12] = 1
    write_volume(Volume((100 * liver - 60 * tumor).astype(np.int16), GRID), folder / "ct.nrrd")
    for name, mask in {"liver": liver, "tumor": tumor}.items():
        write_labels(LabelMap(mask, GRID, {1: Label(name)}), folder / f"{name}.nrrd")
    sources = {name: folder / f"{name}.nrrd" for name in ("ct", "liver", "tumor")}
    with create_case(folder / "case") as case:
        case.run(start_plan(case, find_template("liver-resection"), sources, CUT))
        yield case


def centroid_of_image(path):
    """Return the LPS mm centroid of what SimpleITK reads, apart from our own readers."""
    image = sitk.ReadImage(str(path))
    index = np.argwhere(sitk.GetArrayFromImage(image))[:, ::-1].mean(axis=0)
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def centroid_and_ml_of_stl(path):
    """Return centroid and volume of a binary STL, from its bytes."""
    data = path.read_bytes()
    (count,) = struct.unpack("<I", data[80:84])
    facet = np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    corners = np.frombuffer(data[84:], facet, count)["v"].astype(float)
    parts = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    return (corners.sum(axis=1) / 4 * parts[:, None]).sum(axis=0) / parts.sum(), parts.sum() / 1000


@pytest.mark.parametrize("ending", IMAGES)
def test_a_label_lies_in_lps_in_every_image_format(case, tmp_path, ending):
    path = export(case, "specimen", tmp_path / f"specimen{ending}")
    labels = case.value("specimen")
    truth = labels.geometry.to_world(np.argwhere(labels.array)[:, ::-1].mean(axis=0))
    assert np.allclose(centroid_of_image(path), truth, atol=1e-3)
    image = sitk.ReadImage(str(path))
    assert np.allclose(image.GetDirection(), OBLIQUE, atol=1e-5)
    voxel_ml = np.prod(image.GetSpacing()) / 1000
    number = next(n for n in case.summary()["numbers"] if n["name"] == "specimen.volume")
    assert np.count_nonzero(sitk.GetArrayFromImage(image)) * voxel_ml == pytest.approx(
        number["value"]
    )


def test_the_image_is_exported_whole(case, tmp_path):
    path = export(case, "ct", tmp_path / "ct.nii.gz")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), case.value("ct").array)


def test_the_stl_lies_where_the_label_lies(case, tmp_path):
    path = export(case, "specimen", tmp_path / "specimen.stl")
    labels = case.value("specimen")
    truth = labels.geometry.to_world(np.argwhere(labels.array)[:, ::-1].mean(axis=0))
    where, ml = centroid_and_ml_of_stl(path)
    assert np.allclose(where, truth, atol=2.0)
    assert ml == pytest.approx(np.count_nonzero(labels.array) * 4.0 * 4.5 * 6.0 / 1000, rel=0.03)
    assert b"LPS" in path.read_bytes()[:80]


@pytest.mark.parametrize("ending", SURFACES)
@pytest.mark.parametrize("name", ["remnant", "tumor_surface", "cut"])
def test_every_surface_format_is_written(case, tmp_path, name, ending):
    path = export(case, name, tmp_path / f"name with space{ending.upper()}")
    assert path.stat().st_size > 100


@pytest.mark.parametrize("name", ["ct", "liver", "cut", "margin", "tumor_surface", "patient"])
def test_tables_hold_the_numbers_with_their_units(case, tmp_path, name):
    numbers = [n for n in case.summary()["numbers"] if n["step"] == name]
    record = json.loads(export(case, name, tmp_path / "t.json").read_text("utf-8"))
    assert record["numbers"] == numbers
    assert record["space"] == "LPS mm"
    with export(case, name, tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["name"], float(r["value"]), r["unit"]) for r in rows] == [
        (n["name"], n["value"], n["unit"]) for n in numbers
    ]


def test_the_cut_can_be_set_again_from_its_table(case, tmp_path):
    record = json.loads(export(case, "cut", tmp_path / "cut.json").read_text("utf-8"))
    assert np.allclose(record["point_mm"], CUT[0][2])
    assert np.allclose(record["normal"], CUT[1][2])


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("ct", "ct.stl", "cannot be written as '.stl'; it goes to: .nii"),
        ("margin", "margin.nii.gz", "it goes to: .json, .csv"),
        ("liver", "liver.xyz", "cannot be written as '.xyz'"),
        ("liver", "liver", "cannot be written as 'liver'"),
        ("spleen", "spleen.stl", "the plan has no 'spleen'; it has: ct"),
        ("liver", "none/liver.stl", "make it first"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_nothing(case, tmp_path, name, file, words):
    with pytest.raises(CaseError) as error:
        export(case, name, tmp_path / file)
    assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_endings_tell_what_export_takes(case, tmp_path):
    for name in ("ct", "liver", "cut", "margin"):
        offered = endings(case.value(name))
        assert set(TABLES) <= set(offered)
        for ending in (*IMAGES, *SURFACES, *TABLES):
            path = tmp_path / f"{name}{ending}"
            if ending in offered:
                assert export(case, name, path).is_file()
            else:
                with pytest.raises(CaseError):
                    export(case, name, path)


def test_without_dicom_images_there_is_no_dicom_set(case, tmp_path):
    for write in (write_dicom_set, write_report_file):
        with pytest.raises(CaseError, match="import the images as DICOM"):
            write(case, tmp_path / "out.dcm")
    assert list(tmp_path.iterdir()) == []
