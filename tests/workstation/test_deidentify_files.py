"""Folders and ZIPs without identity: what leaves, what is refused, and what is said."""

import json
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    ExplicitVRBigEndian,
    generate_uid,
)

from segmentation.contract import Number, silent
from segmentation.volume import Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from tests.workstation.deidentified import NAMES, order, vouched
from tests.workstation.marked import Marks, marked_object, stored
from workstation import deidentify_commands
from workstation.__main__ import main
from workstation.arguments import parse
from workstation.case import CaseError, case_for_writing
from workstation.dicom.confidentiality import table
from workstation.dicom.deidentify_files import deidentify_files
from workstation.dicom.files import read, scan
from workstation.dicom.objects import origin_of
from workstation.dicom.segmentation_object import write_segmentation
from workstation.dicom.sources import DicomError, source_of
from workstation.dicom.structured_report import MeasuredGroup, write_report
from workstation.jobs import Cancelled


@pytest.fixture
def series(tmp_path):
    places = phantom.positions(step=2.5 * phantom.normal(phantom.OBLIQUE))
    phantom.write(tmp_path / "in", places, phantom.OBLIQUE, edit=vouched)
    return tmp_path / "in"


def test_the_volume_is_the_same_and_names_hold_no_identity(series, tmp_path):
    outcome = deidentify_files([series], tmp_path / "out", order())
    assert (outcome.written, outcome.quarantined, outcome.skipped) == (6, [], [])
    before, after = phantom.only(series), phantom.only(tmp_path / "out")
    assert replace(before.geometry, frame_uid="") == replace(after.geometry, frame_uid="")
    np.testing.assert_array_equal(read(before).array, read(after).array)
    assert after.patient.name.startswith("HILUM-")
    for path in (tmp_path / "out").rglob("*"):
        assert re.fullmatch(r"HILUM-[0-9A-F]{12}|2\.25\.\d+(\.dcm)?", path.name)


def test_a_zip_gives_the_same_files_as_its_folder(series, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in series.iterdir():
            archive.write(path, f"Doe Jane/{path.name}")
    deidentify_files([series], tmp_path / "a", order())
    deidentify_files([tmp_path / "in.zip"], tmp_path / "b", order())
    made = [
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.dcm")}
        for n in "ab"
    ]
    assert made[0] == made[1]
    assert len(made[0]) == 6


def test_documents_never_leave_but_surfaces_may(tmp_path):
    def document(kind, content):
        def edit(data, k):
            data.pop("PixelData")
            pdf = kind == "application/pdf"
            data.SOPClassUID = EncapsulatedPDFStorage if pdf else EncapsulatedSTLStorage
            data.MIMETypeOfEncapsulatedDocument = kind
            data.EncapsulatedDocument = content
            data.EncapsulatedDocumentLength = len(content)

        return edit

    stl = b"Jane Doe".ljust(80) + (1).to_bytes(4, "little") + bytes(range(50))
    place = phantom.positions(1)
    phantom.write(tmp_path / "pdf", place, edit=document("application/pdf", b"%PDF Jane"))
    phantom.write(tmp_path / "stl", place, edit=document("model/stl", stl))
    pdf = deidentify_files([tmp_path / "pdf"], tmp_path / "a", order(accepted=("all",)))
    assert (pdf.written, pdf.quarantined[0].final) == (0, True)
    assert deidentify_files([tmp_path / "stl"], tmp_path / "b", order(accepted=("all",))).written
    (path,) = (tmp_path / "b").rglob("*.dcm")
    content = pydicom.dcmread(path).EncapsulatedDocument
    assert content == b"\0" * 80 + stl[80:]


def test_bad_files_are_listed_and_left_out(series, tmp_path):
    (series / "note.txt").write_text("Jane")
    first = sorted(series.glob("IM*"))[0]
    (series / "copy").write_bytes(first.read_bytes())
    (series / "cut").write_bytes(first.read_bytes()[:300])
    outcome = deidentify_files([series], tmp_path / "out", order())
    assert outcome.written == 6
    assert len(outcome.skipped) == 3


def test_the_new_folder_is_new_and_apart(series, tmp_path):
    with pytest.raises(DicomError, match="lies inside"):
        deidentify_files([series], series / "out", order())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(DicomError, match="there already"):
        deidentify_files([series], tmp_path / "full", order())
    with pytest.raises(DicomError, match="not there"):
        deidentify_files([series], tmp_path / "no" / "out", order())
    (tmp_path / "empty").mkdir()
    assert deidentify_files([series], tmp_path / "empty", order()).written == 6


def test_a_stop_leaves_nothing(series, tmp_path):
    def stop(fraction, message):
        if fraction > 0.4:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        deidentify_files([series], tmp_path / "out", order(), stop)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_one_subject_is_one_patient(series, tmp_path):
    assert deidentify_files([series], tmp_path / "a", order(subject="S 1")).written == 6
    assert phantom.only(tmp_path / "a").patient.patient_id == "S 1"

    def other(data, k):
        vouched(data)
        data.PatientID = "P2"

    phantom.write(series, phantom.positions(1), edit=other, series="1.2.4")
    with pytest.raises(DicomError, match="several patients"):
        deidentify_files([series], tmp_path / "b", order(subject="S1"))
    with pytest.raises(ValueError, match="cannot be the ID"):
        order(subject="../S1")


def test_big_endian_stays_so(tmp_path):
    (path,) = phantom.write(tmp_path / "in", phantom.positions(1), edit=vouched)
    data = pydicom.dcmread(path)
    data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=False, force_encoding=True)
    assert deidentify_files([path], tmp_path / "out", order()).written
    (made,) = (tmp_path / "out").rglob("*.dcm")
    done = pydicom.dcmread(made)
    assert done.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    assert done.PixelData == data.PixelData


def test_the_command_tells_what_it_did(series, tmp_path, capfd):
    key, out = tmp_path / "key", tmp_path / "out"
    command = ["deidentify", str(series), str(out), "--key", str(key), "--shift-dates", "--json"]
    assert main(command) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["written"], told["quarantined"], told["skipped"]) == (6, [], [])
    assert [code["code"] for code in told["profile"]["codes"]] == ["113100", "113107"]
    assert told["attributes"]["UIDs replaced"] >= 24
    assert "Doe" not in json.dumps(told)
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in json.dumps(told)
    command[2] = str(tmp_path / "again")
    assert main(command) == 0
    assert {p.name for p in out.rglob("*")} == {p.name for p in (tmp_path / "again").rglob("*")}


def test_the_command_for_a_person(tmp_path, capsys):
    def derived(data, k):
        data.ImageType = ["DERIVED", "SECONDARY"]

    phantom.write(tmp_path / "in", phantom.positions(2), edit=derived)
    assert main(["deidentify", str(tmp_path / "in"), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "held back: 2 files" in said
    assert "--accept-pixels" in said
    accepted = ["--accept-pixels", "all", "--blackout", "0,0,2,2"]
    assert main(["deidentify", str(tmp_path / "in"), str(tmp_path / "out"), *accepted]) == 0
    said = capsys.readouterr().out
    assert "2 files written" in said
    assert "warning" in said
    codes = next((tmp_path / "out").rglob("*.dcm"))
    items = pydicom.dcmread(codes).DeidentificationMethodCodeSequence
    assert "113101" in [i.CodeValue for i in items]


def test_no_marked_value_leaves_by_the_command(tmp_path):
    marks = Marks()
    (tmp_path / "in").write_bytes(stored(marked_object(marks)))
    for n, options in enumerate(([], ["--keep-device"], ["--shift-dates"])):
        out = tmp_path / f"out{n}"
        command = ["deidentify", str(tmp_path / "in"), str(out), "--accept-pixels", "all"]
        assert main([*command, *options]) == 0
        (made,) = out.rglob("*.dcm")
        survivors = {owner.partition(":")[2] for owner in marks.surviving(made.read_bytes())}
        rows = [table().rows[re.sub("[(),]", "", tag)].options for tag in survivors]
        assert all({"device", "shifted_dates"} & row.keys() for row in rows)
        assert bool(rows) == bool(options)


def test_the_key_does_not_travel_with_the_images(series, tmp_path):
    out = tmp_path / "out"
    assert main(["deidentify", str(series), str(out), "--key", str(out / "key")]) == 1
    assert not out.exists()


def test_original_images_and_results_of_a_case_are_exported(tmp_path, capsys):
    phantom.write(tmp_path / "in", phantom.positions(), edit=vouched)
    scanned = phantom.only(tmp_path / "in")
    with case_for_writing(tmp_path / "case") as case:
        case.import_dicom(scanned, "ct")
        array = np.zeros(scanned.geometry.shape, np.uint8)
        array[2:4, 3:6, 4:9] = 1
        labels = LabelMap(array, scanned.geometry, {1: Label("liver")})

        def write(path, progress):
            return (write_segmentation(labels, scanned, path),)

        def export(name, file):
            key = ["--deidentify", "--key", str(tmp_path / "key")]
            options = parse(["export", str(tmp_path / "case"), name, str(tmp_path / file), *key])
            return deidentify_commands.export(options, lambda _, work: work(silent), case, write)

        assert export("ct", "images") == 0
        assert export("liver", "liver.dcm") == 0
        with pytest.raises(CaseError, match="only DICOM"):
            export("liver", "liver.nrrd")
    assert "6 files written" in capsys.readouterr().out
    image = pydicom.dcmread(next((tmp_path / "images").rglob("*.dcm")))
    seg = pydicom.dcmread(tmp_path / "liver.dcm")
    assert seg.SeriesInstanceUID != image.SeriesInstanceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == image.SeriesInstanceUID
    assert (seg.StudyInstanceUID, seg.PatientID) == (image.StudyInstanceUID, image.PatientID)
    assert {p.name for p in tmp_path.iterdir()} == {"in", "case", "key", "images", "liver.dcm"}


@pytest.mark.parametrize("rectangle", ["1,2,3", "a,b,c,d", "-1,0,2,2", "0,0,0,1"])
def test_wrong_usage(rectangle):
    with pytest.raises(SystemExit) as stopped:
        main(["deidentify", "in", "out", "--blackout", rectangle])
    assert stopped.value.code == 2


def complaints(path):
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy is not here (Debian: dicom3tools)")
    run = subprocess.run([validator, "-new", path], capture_output=True, check=False)
    said = (run.stdout + run.stderr).decode("utf-8", "replace").splitlines()
    assert any(line.strip() for line in said)
    return Counter(re.sub("<[^/>]*>", "<>", line) for line in said if line.startswith("Error"))


def judged(path, folder, *options):
    """The new complaints about what becomes of ``path``, and the data set itself."""
    outcome = deidentify_files([path], folder, order(*options, accepted=("all",)))
    assert outcome.written == 1, outcome.skipped
    (made,) = folder.rglob("*.dcm")
    return complaints(made) - complaints(path), pydicom.dcmread(made)


@pytest.mark.parametrize("options", [(), ("shifted_dates", "device", "patient", "descriptors")])
def test_segmentations_and_reports_stay_valid(tmp_path, options):
    def whole(data, k):
        data.StudyDate, data.StudyTime, data.PatientBirthDate = "20200101", "120000", ""
        data.PatientSex, data.StudyID, data.AccessionNumber = "F", "1", "A1"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()

    phantom.write(tmp_path / "in", phantom.positions(), edit=whole)
    scanned = phantom.only(tmp_path / "in")
    array = np.zeros(scanned.geometry.shape, np.uint8)
    array[2:4, 3:6, 4:9] = 1
    labels = LabelMap(array, scanned.geometry, {1: Label("liver", code="10200004")})
    seg = write_segmentation(labels, scanned, tmp_path / "seg.dcm")
    numbers = (Number("volume", 12.5, "mL", "voxel count"),)
    report = write_report(
        [MeasuredGroup("liver", numbers)], origin_of(scanned), tmp_path / "sr.dcm"
    )
    for name, path in (("seg", seg), ("sr", report)):
        new, data = judged(path, tmp_path / name, *options)
        assert not new
        assert b"Doe" not in next((tmp_path / name).rglob("*.dcm")).read_bytes()
        assert data.StudyInstanceUID == NAMES.uid("1.2")


@pytest.mark.parametrize(
    "name",
    ["liver_ct_3dircadb01.zip", "head_ct_cptac_C3N-01192.zip", "brain_mr_oblique_SAG-anon.zip"],
)
def test_real_series(real_data, tmp_path, name):
    for n, part in enumerate(phantom.only(real_data / name).slices[40:46]):
        (tmp_path / f"{n}").write_bytes(part.source.read_bytes())
    paths = [tmp_path / f"{n}" for n in range(6)]
    outcome = deidentify_files(paths, tmp_path / "out", order(accepted=("all",)))
    assert outcome.written == 6
    assert outcome.warnings
    if "liver" not in name:
        assert "show a head" in outcome.warnings[0]
    before, after = scan(paths).volumes[0], phantom.only(tmp_path / "out")
    assert replace(before.geometry, frame_uid="") == replace(after.geometry, frame_uid="")
    np.testing.assert_array_equal(read(before).array, read(after).array)
    new, _ = judged(paths[0], tmp_path / "one")
    assert not new


@pytest.mark.parametrize(
    "path",
    [
        "MR_small_bigendian.dcm",
        "emri_small.dcm",
        "eCT_Supplemental.dcm",
        "JPEG2000.dcm",
        "rtdose.dcm",
    ],
)
def test_odd_files_stay_valid_with_their_pixels(real_data, tmp_path, path):
    place = real_data / "dicom_zoo" / "pydicom" / path
    new, data = judged(place, tmp_path / "out")
    assert not new
    before = pydicom.dcmread(place)
    if "PixelData" in before:
        np.testing.assert_array_equal(before.pixel_array, data.pixel_array)
    assert source_of(place).size
