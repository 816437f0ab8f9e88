"""Suggested lesions: found where they are, and none where there is none."""

import numpy as np
import pytest

from segmentation.lesions import convexity, propose_lesions
from segmentation.liver import propose_liver
from segmentation.vessels import propose_vessels
from segmentation.volume import ImageGeometry, LabelMap, Volume
from workstation.dicom.files import read, scan
from workstation.phantom import Phantom


@pytest.fixture(scope="module")
def patient(coarse_patient: Phantom) -> Phantom:
    return coarse_patient


@pytest.fixture(scope="module")
def liver(patient: Phantom) -> LabelMap:
    return LabelMap(patient.mask("liver"), patient.volume.geometry)


@pytest.fixture(scope="module")
def found(patient: Phantom, liver: LabelMap) -> LabelMap:
    return propose_lesions(patient.volume, liver)


def test_every_lesion_is_found_at_its_place(patient, found):
    places = [f.location_mm for f in found.findings if f.code == "lesion_suggested"]
    assert len(places) == 2
    for tumor in patient.tumors:
        nearest = min(np.linalg.norm(np.subtract(place, tumor.centre_mm)) for place in places)
        assert nearest < 2.0


def test_volume_and_shape_are_exact(patient, found):
    truth = patient.mask("tumor")
    both = np.count_nonzero(found.mask() & truth)
    assert 2 * both / (np.count_nonzero(found.mask()) + np.count_nonzero(truth)) > 0.95
    assert found.volume_ml("tumor") == pytest.approx(patient.exact_ml["tumor"], rel=0.02)


def test_the_findings_say_that_nobody_confirmed_them(found):
    (summary,) = [f for f in found.findings if f.code == "lesions_suggested"]
    assert "2 dark lesions" in summary.sentence
    assert "none is confirmed" in summary.sentence
    assert next(n.value for n in found.numbers if n.quantity == "count") == 2


def test_a_liver_without_lesions_stays_empty(patient, liver):
    healthy = liver.array * ~patient.mask("tumor")
    filled = np.where(patient.mask("tumor"), 108, patient.volume.array).astype(np.int16)
    rim = np.zeros_like(filled, bool)
    for tumor in patient.tumors:  # the blurred rim goes, too
        g = patient.volume.geometry
        points = g.to_world(np.argwhere(healthy)[:, ::-1]) - np.asarray(tumor.centre_mm)
        near = np.linalg.norm(points, axis=1) < max(tumor.radii_mm) + 3
        rim[tuple(np.argwhere(healthy)[near].T)] = True
    filled[rim & ~patient.mask("vessels")] = 108
    found = propose_lesions(Volume(filled, patient.volume.geometry), liver)
    assert not found.mask().any()
    assert [f.code for f in found.findings] == ["no_lesions"]


def test_a_dark_vein_is_no_lesion():
    grid = ImageGeometry((60, 60, 30), (1, 1, 2), (0, 0, 0), np.eye(3).ravel(), "1")
    k, j, i = np.indices(grid.shape)
    hu = np.random.default_rng(2).normal(100, 8, grid.shape)
    bent = np.hypot(j - 30 - 12 * np.sin(i / 9), 2 * k - 30) < 5
    hu[bent] -= 45
    found = propose_lesions(
        Volume(hu.astype(np.int16), grid), LabelMap(np.ones(grid.shape, np.uint8), grid)
    )
    assert not found.mask().any()


def test_convexity_tells_a_ball_from_a_bent_rod():
    k, j, i = np.indices((24, 40, 40))
    ball = (2 * (k - 12)) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 < 15**2
    rod = np.hypot(j - 20 - 10 * np.sin(i / 6), 2 * (k - 12)) < 3
    spacing = np.array([2.0, 1.0, 1.0])
    assert convexity(ball, spacing) > 0.8
    assert convexity(rod, spacing) < 0.4


def test_wrong_input_is_refused(patient, liver):
    empty = LabelMap(np.zeros_like(liver.array), liver.geometry)
    with pytest.raises(ValueError, match="liver is empty"):
        propose_lesions(patient.volume, empty)


def test_a_portal_venous_scan_with_metastases(real_data):
    (series,) = scan([real_data / "liver_ct_3dircadb01.zip"]).volumes
    volume = read(series)
    liver = propose_liver(volume)
    assert 1350 < liver.volume_ml("liver") < 1650
    vessels = propose_vessels(volume, liver)
    assert 30 < vessels.volume_ml("vessels") < 80
    lesions = propose_lesions(volume, liver, vessels)
    # By eye: the large one in segments IV and V, those at the dome and in segments III and VI.
    places = [f.location_mm for f in lesions.findings if f.location_mm]
    for seen in ((100, 95, 112), (121, 127, 184), (153, 81, 150), (103, 192, 126)):
        assert min(np.linalg.norm(np.subtract(place, seen)) for place in places) < 12
    assert len(places) <= 8
    assert 40 < lesions.volume_ml("tumor") < 80
