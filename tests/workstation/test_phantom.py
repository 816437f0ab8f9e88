"""The synthetic patient: does the image hold what its exact numbers say, on the right side?"""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config
from scipy import ndimage
from scipy.spatial.transform import Rotation

from segmentation.volume import ImageGeometry
from workstation.phantom import Phantom, abdomen, sphere, tube, write_dicom
from workstation.phantom.anatomy import Anatomy, anatomy
from workstation.phantom.patient import axial_grid
from workstation.phantom.rendering import bounds, cones, inside

COARSE = (2.4, 2.4, 4.0)
TINY = (8.0, 8.0, 10.0)


@pytest.fixture(scope="module")
def patient() -> Phantom:
    return abdomen(1, spacing_mm=COARSE)


@pytest.fixture(scope="module")
def varied() -> Anatomy:
    return anatomy(5, lesions=2)


def centroid_mm(phantom, name):
    k, j, i = np.nonzero(phantom.mask(name))
    return phantom.truth.geometry.to_world((i.mean(), j.mean(), k.mean()))


def test_organs_lie_on_their_sides(patient):
    x = {n: centroid_mm(patient, n)[0] for n in ("liver", "gallbladder", "right_kidney")}
    assert all(value < -40 for value in x.values()), x
    x = {n: centroid_mm(patient, n)[0] for n in ("spleen", "stomach", "left_kidney")}
    assert all(value > 40 for value in x.values()), x
    assert centroid_mm(patient, "aorta")[0] > 4
    assert centroid_mm(patient, "vena_cava")[0] < -10


def test_organs_lie_in_front_and_above_of_what_they_should(patient):
    assert centroid_mm(patient, "stomach")[1] < centroid_mm(patient, "spleen")[1]
    assert centroid_mm(patient, "aorta")[1] < centroid_mm(patient, "disc")[1]
    assert centroid_mm(patient, "disc")[1] < centroid_mm(patient, "canal")[1]
    assert centroid_mm(patient, "heart")[2] > centroid_mm(patient, "liver")[2] > -20
    assert centroid_mm(patient, "left_kidney")[2] > centroid_mm(patient, "right_kidney")[2]


def test_left_liver_crosses_the_midline_in_front_of_the_stomach(patient):
    k, j, i = np.nonzero(patient.mask("liver"))
    points = patient.truth.geometry.to_world(np.stack([i, j, k], axis=1))
    left = points[points[:, 0] > 20]
    assert left[:, 0].max() > 45
    assert left[:, 1].mean() < centroid_mm(patient, "stomach")[1] - 30


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("liver", 0.002), ("tumor", 0.02), ("vessels", 0.03), ("portal_vein", 0.04)],
)
def test_voxel_truth_has_the_exact_volume(patient, name, tolerance):
    counted = np.count_nonzero(patient.mask(name)) * patient.truth.geometry.voxel_ml
    assert counted == pytest.approx(patient.exact_ml[name], rel=tolerance)


def test_image_itself_holds_the_exact_tumor_volume():
    phantom = abdomen(1, spacing_mm=COARSE, noise_hu=0.0)
    near = ndimage.binary_dilation(phantom.mask("tumor"), iterations=3)
    near &= ~ndimage.binary_dilation(phantom.mask("vessels"), iterations=2)
    hu = phantom.volume.array[near].astype(float)
    filled = (108 - hu) / (108 - 60)
    assert filled.sum() * phantom.volume.geometry.voxel_ml == pytest.approx(
        phantom.exact_ml["tumor"], rel=0.02
    )


@pytest.mark.parametrize(
    ("name", "hu"),
    [("liver", 108), ("spleen", 120), ("aorta", 150), ("tumor", 60), ("lung", -850)],
)
def test_tissue_has_its_hu_and_the_noise_asked_for(patient, name, hu):
    mask = patient.truth.mask(name)
    if name == "liver":
        mask = mask & ~ndimage.binary_dilation(patient.mask("vessels"), iterations=2)
        mask &= ~ndimage.binary_dilation(patient.mask("tumor"), iterations=2)
    values = patient.volume.array[ndimage.binary_erosion(mask, iterations=2)]
    assert values.size > 50
    assert values.mean() == pytest.approx(hu, abs=4)
    assert values.std() == pytest.approx(11, rel=0.3)


def test_air_fat_and_bone_look_like_ct(patient):
    hu, truth = patient.volume.array, patient.truth
    assert np.median(hu[truth.array == 0]) < -980
    assert -115 < np.median(hu[truth.mask("body")]) < -85
    assert 200 < np.median(hu[truth.mask("bone")]) < 500
    assert hu[truth.mask("stomach")].min() < -900
    assert hu.min() >= -1024


@pytest.mark.parametrize("tree", ["portal", "hepatic"])
def test_each_tree_is_one_piece(varied, tree):
    lumen = cones(tuple(getattr(varied, tree).values()))
    if tree == "hepatic":  # its three main veins meet in the vena cava
        lumen = (*lumen, *(a.solid for a in varied.layers if a.name == "vena_cava"))
    mask = inside(lumen, axial_grid(bounds(lumen), 1.0, "1.2.3"))[1]
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1


@pytest.mark.parametrize("seed", [1, 2, 3, 5, 8])
def test_trees_keep_apart_and_tumors_touch_nothing(seed):
    patient = anatomy(seed, lesions=2)
    portal, hepatic = (cones(tuple(tree.values())) for tree in (patient.portal, patient.hepatic))
    for path in patient.portal.values():
        gap = min(cone.distance_mm(*path.points_mm.T).min() for cone in hepatic)
        assert gap > path.radius_mm.min() + 1
    for tumor in patient.tumors:
        surface = surface_points(tumor)
        assert patient.liver.distance_mm(*surface.T).max() < -3
        assert min(cone.distance_mm(*surface.T).min() for cone in (*portal, *hepatic)) > 2


def surface_points(tumor):
    directions = np.random.default_rng(0).standard_normal((2000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    return np.asarray(tumor.centre_mm) + directions * tumor.radii_mm @ np.asarray(tumor.axes).T


def test_distance_of_tumor_from_a_plane_is_that_of_its_nearest_surface_point(patient):
    point, normal = (-60.0, 10.0, 0.0), (0.8, -0.5, 0.3)
    height = (surface_points(patient.tumors[0]) - point) @ normal / np.linalg.norm(normal)
    exact = patient.tumor_plane_distance_mm(point, normal)
    assert exact == pytest.approx(np.abs(height).min(), abs=0.2)
    assert exact <= np.abs(height).min()
    through = patient.tumor_plane_distance_mm(patient.tumors[0].centre_mm, (0, 1, 0))
    assert through == pytest.approx(-patient.tumors[0].radii_mm[1])


def test_cut_volumes_agree_with_the_voxels_and_swap_with_the_normal(patient):
    point, normal = (-50.0, 0.0, 10.0), np.array([-0.9, 0.3, 0.2])
    specimen, remnant = patient.exact_cut_ml(point, tuple(normal))
    k, j, i = np.nonzero(patient.mask("liver"))
    grid = patient.truth.geometry
    side = (grid.to_world(np.stack([i, j, k], axis=1)) - point) @ normal > 0
    assert specimen == pytest.approx(side.sum() * grid.voxel_ml, rel=0.003)
    assert specimen + remnant == pytest.approx(patient.exact_ml["liver"])
    assert specimen > remnant
    assert patient.exact_cut_ml(point, tuple(-normal))[0] == pytest.approx(remnant)


def test_same_seed_same_bytes_other_seed_other_patient():
    first, again, other = (abdomen(seed, spacing_mm=TINY) for seed in (1, 1, 2))
    assert first.volume.array.tobytes() == again.volume.array.tobytes()
    assert first.truth.array.tobytes() == again.truth.array.tobytes()
    assert first.exact_ml == again.exact_ml
    assert first.volume.geometry.frame_uid != other.volume.geometry.frame_uid
    assert abs(first.exact_ml["liver"] - other.exact_ml["liver"]) > 5
    assert all(1100 < p.exact_ml["liver"] < 2000 for p in (first, other))


def test_a_third_lesion_is_refused():
    with pytest.raises(ValueError, match="one or two lesions, not 3"):
        abdomen(1, lesions=3)


class Stop(Exception):
    pass


def stop_at(fraction_to_stop):
    def progress(fraction, message=""):
        if fraction >= fraction_to_stop:
            raise Stop

    return progress


def test_making_a_patient_can_be_stopped():
    with pytest.raises(Stop):
        abdomen(1, spacing_mm=TINY, progress=stop_at(0.3))


@pytest.fixture(scope="module")
def series(patient, tmp_path_factory):
    return write_dicom(patient, tmp_path_factory.mktemp("series"))


def test_dicom_series_gives_back_the_volume(patient, series, monkeypatch):
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.RAISE)
    slices = sorted(
        (pydicom.dcmread(path) for path in series), key=lambda s: float(s.ImagePositionPatient[2])
    )
    hu = np.stack([s.pixel_array * s.RescaleSlope + s.RescaleIntercept for s in slices])
    grid = patient.volume.geometry
    assert np.array_equal(hu, patient.volume.array)
    for k, image in enumerate(slices):
        assert np.allclose(image.ImagePositionPatient, grid.to_world((0, 0, k)), atol=1e-3)
        assert list(image.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
        assert list(image.PixelSpacing) == [grid.spacing_mm[1], grid.spacing_mm[0]]
        assert image.FrameOfReferenceUID == grid.frame_uid


def test_another_reader_finds_the_same_image(patient, series):
    folder = str(series[0].parent)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder))
    grid = patient.volume.geometry
    assert np.allclose(image.GetOrigin(), grid.origin_mm, atol=1e-3)
    assert np.allclose(image.GetSpacing(), grid.spacing_mm)
    assert np.allclose(image.GetDirection(), grid.direction)
    assert np.array_equal(sitk.GetArrayViewFromImage(image), patient.volume.array)


def test_dicom_series_says_that_it_is_synthetic_and_is_one_series(series):
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in series]
    for image in slices:
        assert image.PatientName == "SYNTHETIC^ABDOMEN"
        assert image.PatientID == "SYNTHETIC-0001"
        assert image.SeriesDescription.startswith("SYNTHETIC")
        assert image.ImageComments.startswith("SYNTHETIC")
        assert image.QualityControlSubject == "YES"
    assert len({image.SOPInstanceUID for image in slices}) == len(slices)
    assert len({(image.StudyInstanceUID, image.SeriesInstanceUID) for image in slices}) == 1
    assert all(image.SOPInstanceUID.is_valid for image in slices)


def test_dicom_names_are_in_no_order(series):
    assert sorted(series) != series
    assert sorted(series) != series[::-1]


def test_dicom_bytes_are_the_same_every_time(patient, series, tmp_path):
    again = write_dicom(patient, tmp_path)
    assert [p.name for p in again] == [p.name for p in series]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(again, series))


def test_dicom_stopped_half_way_leaves_nothing(patient, tmp_path):
    with pytest.raises(Stop):
        write_dicom(patient, tmp_path, progress=stop_at(0.5))
    assert not list(tmp_path.iterdir())


def turned_grid(angles):
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    origin = np.array([12.0, -30.0, 40.0]) - axes @ (np.array([30, 34, 26]) / 2 * [1.0, 0.9, 1.5])
    return ImageGeometry((31, 35, 27), (1.0, 0.9, 1.5), tuple(origin), tuple(axes.ravel()), "1.2")


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.floats(4, 9), st.tuples(*[st.floats(-2, 2)] * 3))
def test_sphere_fills_exactly_its_volume_where_it_was_put(angles, radius, shift):
    centre = np.array([12.0, -30.0, 40.0]) + shift
    grid = turned_grid(angles)
    solid = sphere(grid, tuple(centre), radius, inside_hu=50, outside_hu=-50)
    part = (solid.volume.array.astype(float) + 50) / 100
    k, j, i = np.nonzero(part)
    middle = np.average(grid.to_world(np.stack([i, j, k], 1)), axis=0, weights=part[k, j, i])
    assert part.sum() * grid.voxel_ml == pytest.approx(solid.exact_ml, rel=0.003)
    assert np.allclose(middle, centre, atol=0.05)
    assert solid.truth.volume_ml("solid") == pytest.approx(solid.exact_ml, rel=0.12)


def test_tube_fills_exactly_its_volume_along_its_axis():
    grid = turned_grid((20, -35, 50))
    start, end = np.array([8.0, -34.0, 36.0]), np.array([15.0, -24.0, 44.0])
    solid = tube(grid, tuple(start), tuple(end), 3.5)
    k, j, i = np.nonzero(solid.truth.array)
    points = grid.to_world(np.stack([i, j, k], axis=1))
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    assert solid.volume.array.sum() / 100 * grid.voxel_ml == pytest.approx(
        solid.exact_ml, rel=0.003
    )
    assert abs(axis @ (end - start)) / np.linalg.norm(end - start) > 0.995
    assert np.allclose(points.mean(axis=0), (start + end) / 2, atol=0.2)
