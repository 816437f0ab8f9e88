from dataclasses import replace

import numpy as np
import pytest
import trimesh

from segmentation.contract import Finding, Severity
from segmentation.images import write_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.case import CaseError, create_case
from workstation.dicom.files import PatientIdentity, Scan, scan
from workstation.importing import (
    choose_volume,
    import_volume,
    is_volume_file,
    nothing_found,
    start_plan,
)
from workstation.phantom import abdomen, write_dicom
from workstation.planning.template import find_template


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    write_dicom(abdomen(spacing_mm=(12.0, 12.0, 12.0)), folder)
    return folder


@pytest.fixture(scope="module")
def volume(series):
    return scan([series]).volumes[0]


def other(volume, uid, *, share=1.0, modality="CT", status="ok", patient=None):
    """Another series of the same patient, with a share of the slices."""
    grid = volume.stack.geometry
    size = (*grid.size[:2], max(1, round(share * grid.size[2])))
    stack = replace(volume.stack, geometry=replace(grid, size=size))
    identity = replace(
        volume.identity,
        series_uid=uid,
        modality=modality,
        patient=patient or volume.patient,
    )
    return replace(volume, identity=identity, status=status, stack=stack, key=uid)


def test_the_only_volume_is_meant(volume):
    assert choose_volume(Scan((volume,), ())) is volume


def test_the_volume_that_dwarfs_the_others_is_meant(volume):
    scout = other(volume, "1.1", share=0.3)
    assert choose_volume(Scan((scout, volume), ())) is volume


def test_two_of_a_kind_are_asked_about(volume):
    found = Scan((volume, other(volume, "1.1", share=0.6)), ())
    with pytest.raises(CaseError, match=r"2 volumes are here: .*1\.1.*--series") as error:
        choose_volume(found)
    assert volume.series_uid in str(error.value)
    assert choose_volume(found, "1.1").series_uid == "1.1"


def test_a_long_list_is_cut_short(volume):
    with pytest.raises(CaseError) as error:
        choose_volume(Scan(tuple(other(volume, f"1.{n}") for n in range(40)), ()))
    assert "40 volumes" in str(error.value)
    assert len(str(error.value)) < 700


def test_modality_and_refusal_narrow_the_choice(volume):
    magnet = other(volume, "1.1", modality="MR")
    assert choose_volume(Scan((volume, magnet), ()), modality="MR") is magnet
    cause = Finding(Severity.PROBLEM, "drift", "a slice lies beside the others")
    broken = replace(other(volume, "1.2", status="refused"), findings=(cause,), stack=None)
    assert choose_volume(Scan((broken, volume), ())) is volume
    with pytest.raises(CaseError, match="no volume can be read"):
        choose_volume(Scan((broken,), ()))
    with pytest.raises(CaseError, match="no CT volume among the images, only MR"):
        choose_volume(Scan((magnet,), ()), modality="CT")


def test_two_patients_are_never_merged(volume):
    found = Scan((volume, other(volume, "1.1", patient=PatientIdentity("OTHER^ONE", "X"))), ())
    with pytest.raises(CaseError, match=r"2 patients: .*OTHER\^ONE"):
        choose_volume(found)
    assert choose_volume(found, "1.1").patient.patient_id == "X"
    crowd = tuple(other(volume, f"1.{n}", patient=PatientIdentity(f"N{n}")) for n in range(30))
    with pytest.raises(CaseError, match=r"30 patients: .* and 25 more"):
        choose_volume(Scan(crowd, ()))


def test_an_unknown_series_lists_the_known(volume):
    with pytest.raises(CaseError, match=rf"no series 9\.9 here.*{volume.series_uid}"):
        choose_volume(Scan((volume,), ()), "9.9")
    assert nothing_found(Scan((), ())).startswith("no file was found")


def test_the_source_is_named_after_its_modality(series, tmp_path):
    with create_case(tmp_path / "case") as case:
        assert import_volume(case, [series]) == "ct"
        assert import_volume(case, [series], "venous") == "venous"
        assert set(case.record.sources) == {"ct", "venous"}
        with pytest.raises(CaseError, match="is not there"):
            import_volume(case, [tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("name", "expected"), [("a.nii.gz", True), ("A.NRRD", True), ("a.dcm", False), ("nii", False)]
)
def test_volume_files_are_known_by_their_ending(tmp_path, name, expected):
    assert is_volume_file(tmp_path / name) is expected


def test_a_surface_lies_in_the_frame_of_the_labels_that_come_with_it(tmp_path):
    trimesh.creation.box((20, 20, 20)).export(tmp_path / "bone.stl")
    geometry = ImageGeometry((4, 4, 4), (1, 1, 1), (0, 0, 0), tuple(np.eye(3).ravel()), "2.25.9")
    nerve = LabelMap(np.ones((4, 4, 4), np.uint8), geometry, {1: Label("nerve")})
    write_labels(nerve, tmp_path / "nerve.nii.gz")
    paths = {"bone": tmp_path / "bone.stl", "critical": tmp_path / "nerve.nii.gz"}
    with create_case(tmp_path / "case") as case:
        start_plan(case, find_template("fixation"), paths)
        frames = {source["frame_uid"] for source in case.record.sources.values()}
        assert len(frames) == 1
        assert frames != {""}
