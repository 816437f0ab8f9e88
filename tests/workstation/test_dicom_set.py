"""A whole plan as DICOM objects that refer to each other, to a PACS and back."""

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from segmentation.images import write_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from tests.workstation.orthanc import free_port, orthanc
from tests.workstation.pacs_peer import content
from tests.workstation.validators import errors_of
from workstation import dicom_set
from workstation.__main__ import main
from workstation.case import CaseError, open_case
from workstation.dicom import network
from workstation.dicom.encapsulated import read_document
from workstation.dicom.inbox import Inbox
from workstation.dicom.objects import UnfaithfulObject, origin_of
from workstation.dicom.segmentation_reading import read_segmentation
from workstation.dicom.structured_report import read_comments, read_report
from workstation.dicom_export import source_series
from workstation.dicom_set import distinct_labels, require_consistent, write_dicom_set
from workstation.export_any import export_any
from workstation.phantom import abdomen, write_dicom
from workstation.views import VIEWS, view_picture

PARTS = ("liver", "portal_vein", "hepatic_vein", "tumor")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A case whose plan has labels that overlap, and some that repeat others."""
    folder = tmp_path_factory.mktemp("set")
    patient = abdomen(spacing_mm=(8.0, 7.0, 10.0))
    write_dicom(patient, folder / "ct")
    sources = [f"--source=ct={folder / 'ct'}"]
    for name in PARTS:
        label = LabelMap(patient.mask(name), patient.truth.geometry, {1: Label(name)})
        write_labels(label, folder / f"{name}.nrrd")
        sources.append(f"--source={name}={folder / name}.nrrd")
    assert main(["plan", "liver-resection", "--case", str(folder / "case"), *sources]) == 0
    return folder / "case"


@pytest.fixture(scope="module")
def case(planned):
    with open_case(planned, write=False) as case:
        yield case


@pytest.fixture(scope="module")
def files(case, tmp_path_factory):
    """The set, and its files by name."""
    written = write_dicom_set(case, tmp_path_factory.mktemp("out") / "dicom")
    assert sorted(written) == sorted(written[0].parent.iterdir())
    return {path.stem: path for path in written}


@pytest.fixture
def brief(monkeypatch):
    """Sets without pictures, whose report is next to nothing."""
    monkeypatch.setattr(dicom_set, "VIEWS", ())
    monkeypatch.setattr(
        dicom_set, "write_report", lambda case, path, progress: path.write_bytes(b"%PDF-1.7\n%%EOF")
    )


def on_grid(found, name, grid):
    """The voxels of a segment on ``grid``; a file keeps only the slices that are not empty."""
    i, j, k = np.rint(grid.to_index(found.geometry.origin_mm)).astype(int)
    assert (i, j) == (0, 0)
    full = np.zeros(grid.shape, bool)
    full[k : k + found.geometry.size[2]] = found.mask(name)
    return full


def test_every_label_is_one_segment(case, files):
    found = read_segmentation(files["segmentation"])
    names = [found.labels[n].name for n in sorted(found.labels)]
    supplied = {label.name for label in case.value("territories").labels.values()}
    drained = {"right_hepatic_vein", "middle_hepatic_vein", "left_hepatic_vein"}
    assert supplied
    assert supplied | drained < set(names)
    own = [name for name in names if name not in supplied | drained]
    assert own == ["liver", "portal_vein", "hepatic_vein", "tumor", "specimen", "remnant"]
    for name in own:
        value = case.value(name)
        assert np.array_equal(on_grid(found, name, value.geometry), value.mask(name))
    assert (found.mask("liver") & found.mask("tumor")).any()


def test_numbers_and_findings_are_all_in_the_report(case, files):
    summary = case.summary()
    groups = {group.name: group for group in read_report(files["measurements"])}
    found = [
        (g.name, n.quantity.removeprefix(f"{g.name}."), n.unit, n.value)
        for g in groups.values()
        for n in g.numbers
    ]
    meant = [
        (n["step"], n["name"].removeprefix(f"{n['step']}."), n["unit"], n["value"])
        for n in summary["numbers"]
    ]
    assert [x[:3] for x in found] == [x[:3] for x in meant]
    assert [x[3] for x in found] == pytest.approx([x[3] for x in meant], rel=1e-9)
    seg = pydicom.dcmread(files["segmentation"], stop_before_pixels=True)
    numbers = {s.SegmentLabel: s.SegmentNumber for s in seg.SegmentSequence}
    for name, group in groups.items():
        segment = (seg.SOPInstanceUID, numbers[name]) if name in numbers else None
        assert group.segment == segment, name
    comments = read_comments(files["measurements"])
    assert comments[0] == "Research use only, not for clinical decisions."
    assert len(comments) == 1 + len(summary["findings"])
    for finding, comment in zip(summary["findings"], comments[1:]):
        assert comment.startswith(f"{finding['severity']}, {finding['step']}: ")
        assert finding["sentence"] in comment


def test_the_objects_refer_to_each_other(case, files):
    data = {name: pydicom.dcmread(path) for name, path in files.items()}
    kinds = {name: d.SOPClassUID for name, d in data.items()}
    assert kinds.pop("segmentation") == SegmentationStorage
    assert kinds.pop("measurements") == Comprehensive3DSRStorage
    assert kinds.pop("report") == EncapsulatedPDFStorage
    views = {name for name, kind in kinds.items() if kind == SecondaryCaptureImageStorage}
    assert views == {f"view-{view}" for view in VIEWS}
    stl = {name for name, kind in kinds.items() if kind == EncapsulatedSTLStorage}
    assert stl == kinds.keys() - views
    assert len(stl) == 7
    assert len({d.SeriesInstanceUID for d in data.values()}) == len(data)
    seg = data["segmentation"].SOPInstanceUID
    for name in {*stl, *views, "measurements", "report"}:
        assert seg in dicom_set._references(data[name]), name
    assert data["measurements"].SOPInstanceUID in dicom_set._references(data["report"])
    assert read_document(files["report"]).content.startswith(b"%PDF-")
    frame = case.plan().frame_uid
    assert {read_document(files[name]).frame_uid for name in stl} == {frame}


def test_the_validator_finds_no_error(files):
    for path in files.values():
        assert not errors_of(path), path.name


def test_a_view_is_what_the_capture_holds(case, files, planned, tmp_path):
    meant = view_picture(case, "coronal")
    held = pydicom.dcmread(files["view-coronal"]).pixel_array
    assert np.array_equal(held, meant)
    assert held.std() > 20  # no blank
    assert main(["export", str(planned), "coronal", str(tmp_path / "v.png")]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "v.png")), meant)
    assert main(["export", str(planned), "axial", str(tmp_path / "v.dcm")]) == 0
    assert pydicom.dcmread(tmp_path / "v.dcm").SOPClassUID == SecondaryCaptureImageStorage
    with pytest.raises(CaseError, match=r"\.png or \.dcm"):
        export_any(case, "axial", tmp_path / "v.jpg")


def test_the_report_becomes_an_encapsulated_pdf(brief, planned, capsys, tmp_path):
    for words in (["report", str(planned)], ["export", str(planned), "report"]):
        assert main([*words, str(tmp_path / "r.dcm")]) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / "r.dcm")
        assert read_document(tmp_path / "r.dcm").title == "Report of plan 1"


def test_label_maps_are_one_per_result(brief, planned, case, capsys, tmp_path):
    out = tmp_path / "set"
    assert main(["export", str(planned), "dicom", str(out), "--labelmap"]) == 0
    assert set(capsys.readouterr().out.split()) == {str(path) for path in out.iterdir()}
    maps = sorted(out.glob("segmentation-*.dcm"))
    assert len(maps) == 8
    for path in maps:
        assert pydicom.dcmread(path).SegmentationType == "LABELMAP"
    tumor = next(g for g in read_report(out / "measurements.dcm") if g.name == "tumor")
    assert tumor.segment[0] == pydicom.dcmread(out / "segmentation-tumor.dcm").SOPInstanceUID
    assert main(["export", str(planned), "tumor", str(tmp_path / "t.dcm"), "--labelmap"]) == 0
    assert pydicom.dcmread(tmp_path / "t.dcm").SegmentationType == "LABELMAP"


def test_a_set_that_fails_leaves_nothing(brief, case, monkeypatch, tmp_path):
    def broken(*arguments, **named):
        raise UnfaithfulObject("the last one differs")

    monkeypatch.setattr(dicom_set, "write_pdf", broken)
    with pytest.raises(UnfaithfulObject):
        write_dicom_set(case, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").touch()
    with pytest.raises(CaseError, match="not empty"):
        write_dicom_set(case, tmp_path / "set")
    with pytest.raises(CaseError, match="make it first"):
        write_dicom_set(case, tmp_path / "none" / "set")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: setattr(d, "PatientID", "P2"), "another PatientID"),
        (lambda d: setattr(d, "StudyInstanceUID", "1.2.8"), "another StudyInstanceUID"),
        (lambda d: setattr(d, "SOPInstanceUID", None), "share the SOPInstanceUID"),
        (
            lambda d: setattr(d.SourceImageSequence[0], "ReferencedSOPInstanceUID", "1.2.9"),
            r"refers to 1\.2\.9, which is not there",
        ),
    ],
)
def test_the_check_of_the_set_sees_what_does_not_fit(case, files, change, words, tmp_path):
    plan = case.plan()
    origin = origin_of(source_series(case, plan, plan.frame_uid))
    other = files["segmentation"]
    require_consistent([other, files["view-axial"]], origin)
    data = pydicom.dcmread(files["view-axial"])
    change(data)
    if data.SOPInstanceUID is None:
        data.SOPInstanceUID = pydicom.dcmread(other).SOPInstanceUID
    data.save_as(tmp_path / "changed.dcm")
    with pytest.raises(UnfaithfulObject, match=words):
        require_consistent([other, tmp_path / "changed.dcm"], origin)


def test_labels_are_kept_once_and_under_names_of_their_own():
    grid = ImageGeometry((4, 3, 2), (1, 1, 1), (0, 0, 0), np.eye(3).ravel(), "1.2")
    away = ImageGeometry((4, 3, 2), (1, 1, 1), (0, 0, 0), np.eye(3).ravel(), "1.3")
    array = np.arange(24).reshape(2, 3, 4) % 3
    both = LabelMap(array.astype(np.uint8), grid, {1: Label("a"), 2: Label("b")})
    values = {
        "a": LabelMap(array == 1, grid, {1: Label("a")}),
        "both": both,
        "other": LabelMap(array == 0, grid, {1: Label("a")}),
        "empty": LabelMap(np.zeros(grid.shape, np.uint8), grid, {1: Label("e")}),
        "away": LabelMap(array == 1, away, {1: Label("w")}),
        "number": 3,
    }
    kept, left_out = distinct_labels(values, "1.2")
    assert {n: [x.name for x in v.labels.values()] for n, v in kept.items()} == {
        "a": ["a"], "both": ["b"], "other": ["other a"]
    }  # fmt: skip
    assert np.array_equal(kept["both"].array, np.where(array == 2, 2, 0))
    assert left_out == ["away lies in another frame of reference and is not in this set."]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    with orthanc(tmp_path_factory.mktemp("orthanc"), free_port()) as running:
        yield network.Node(
            "orthanc",
            "127.0.0.1",
            running.dicom_port,
            running.ae_title,
            "PLANNER",
            dicomweb_url=running.dicomweb_url,
            username=running.username,
            password_variable="ORTHANC_TEST_PASSWORD",
            timeout_s=30,
        )


@pytest.mark.parametrize(
    ("form", "way"),
    # Orthanc 1.10 stores label maps, but for C-GET it takes only kinds that it knows.
    [("BINARY", "dimse"), ("BINARY", "web"), ("LABELMAP", "web")],
)
def test_a_pacs_gives_back_what_it_was_given(
    brief, case, files, pacs, form, way, monkeypatch, tmp_path
):
    """Stored by C-STORE and fetched by C-GET, or stored by STOW and fetched by WADO."""
    monkeypatch.setenv("ORTHANC_TEST_PASSWORD", pacs.username)
    whole = form == "BINARY"
    sent = list(files.values()) if whole else write_dicom_set(case, tmp_path / "set", form)
    assert network.send(pacs, sent, way).failed == ()
    back = []
    for path in sent:
        data = pydicom.dcmread(path, stop_before_pixels=True)
        inbox = Inbox(tmp_path / f"in-{path.stem}")
        study, series = data.StudyInstanceUID, data.SeriesInstanceUID
        (file,) = network.fetch(pacs, study, series, inbox, way).files
        assert content(file) == content(path), path.name
        back.append(file)
    plan = case.plan()
    require_consistent(back, origin_of(source_series(case, plan, plan.frame_uid)))
    grid = case.value("liver").geometry
    found = read_segmentation(back[0])
    name = next(iter(found.labels.values())).name
    assert np.array_equal(on_grid(found, name, grid), case.value(name).mask(name))
