"""Other makers' programs find no error in our objects and read the same from them, and back."""

import json

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from highdicom.seg import SegmentDescription
from pydicom.sr.coding import Code
from pydicom.uid import EncapsulatedSTLStorage

from meshing.files import write_surface
from meshing.surface import isosurface
from segmentation.contract import Number
from segmentation.volume import Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from tests.workstation.test_dicom_multiframe import enhanced
from tests.workstation.validators import dcmqi, errors_of
from workstation.dicom.encapsulated import write_capture, write_pdf, write_stl
from workstation.dicom.files import scan
from workstation.dicom.objects import lenient, origin_of
from workstation.dicom.segmentation_object import onto_slices, write_segmentation
from workstation.dicom.segmentation_reading import read_segmentation
from workstation.dicom.structured_report import MeasuredGroup, read_report, write_report

STEP_MM = 2.5
SERIES = {
    "CT": (phantom.AXIAL, (0, 0, STEP_MM), "CT"),
    "MR": (phantom.SAGITTAL, STEP_MM * phantom.normal(phantom.SAGITTAL), "MR"),
    "oblique": (phantom.OBLIQUE, STEP_MM * phantom.normal(phantom.OBLIQUE), "CT"),
    "tilted": (phantom.AXIAL, (0.4, 0.9, STEP_MM), "CT"),
    "enhanced MR": (),
}
LABELS = {2: Label("liver", (10, 200, 30), "10200004"), 5: Label("odd thing", (232, 197, 71))}
GROUPS = (
    MeasuredGroup("liver", (Number("volume", 1612.4375, "mL", "voxels", 1588.25, 1637.5),)),
    MeasuredGroup(
        "plan",
        (
            Number("minimum", 7.25, "mm", "tumour to plane"),
            Number("after", 1 / 3, "mmHg", "model"),
            Number("a_quantity_of_a_very_long_name_indeed", -33.3, "%", "share"),
        ),
    ),
)
COMMENTS = ("warning, liver: Größe unsicher.",)


@pytest.fixture(scope="module", params=SERIES)
def series(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    if request.param == "enhanced MR":
        (folder / "ct").mkdir()
        data = enhanced(phantom.positions(), ["T1"], [1.0])
        data.save_as(folder / "ct" / "one")
    else:
        orientation, step, modality = SERIES[request.param]
        places = [np.array((-8.0, 4.0, 30.0)) + k * np.asarray(step) for k in range(phantom.SLICES)]
        phantom.write(folder / "ct", places, orientation, modality=modality)
    (volume,) = scan([folder / "ct"]).volumes
    return volume


@pytest.fixture(scope="module")
def labels(series):
    """Noise of two labels in all slices but one: any flip, shift or swap shows."""
    array = np.zeros(series.geometry.shape, np.uint8)
    noise = np.random.default_rng(4)
    for k, (i, j) in enumerate(np.rint(series.stack.offsets).astype(int)):
        if k != 3:
            drawn = noise.choice([0, 0, 2, 5], (phantom.ROWS, phantom.COLUMNS))
            array[k, j : j + phantom.ROWS, i : i + phantom.COLUMNS] = drawn
    return LabelMap(array, series.geometry, LABELS)


@pytest.fixture(scope="module")
def written(series, labels, tmp_path_factory):
    """One object of every kind, made from one series."""
    folder = tmp_path_factory.mktemp("written")
    origin = origin_of(series)
    seg = write_segmentation(labels, series, folder / "seg.dcm")
    write_segmentation(labels, series, folder / "labelmap.dcm", form="LABELMAP")
    write_report(GROUPS, origin, folder / "sr.dcm", segmentations=[seg], comments=COMMENTS)
    surface = isosurface(LabelMap(labels.mask(2), labels.geometry, {1: LABELS[2]}))
    stl = write_surface(surface, folder / "s.stl").read_bytes()
    frame = surface.frame_uid
    write_stl(stl, origin, folder / "stl.dcm", frame_uid=frame, title="liver", related=[seg])
    write_pdf(b"%PDF-1.7\n%%EOF", origin, folder / "pdf.dcm", related=[seg, folder / "sr.dcm"])
    picture = np.random.default_rng(2).integers(0, 256, (5, 7, 3), np.uint8)
    write_capture(picture, origin, folder / "sc.dcm", related=[seg])
    return folder


@pytest.mark.parametrize("kind", ["seg", "sr", "stl", "pdf", "sc"])
def test_the_validator_finds_no_error(written, kind):
    assert not errors_of(written / f"{kind}.dcm")


def test_the_validator_sees_an_error(written, tmp_path):
    data = pydicom.dcmread(written / "stl.dcm")
    assert data.SOPClassUID == EncapsulatedSTLStorage
    del data.MeasurementUnitsCodeSequence
    data.save_as(tmp_path / "bad.dcm")
    assert errors_of(tmp_path / "bad.dcm")


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def resampled(image, grid):
    return sitk.Resample(
        image, grid.size, sitk.Transform(), sitk.sitkNearestNeighbor, grid.origin_mm,
        grid.spacing_mm, grid.direction,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["seg", "labelmap"])
def test_dcmqi_reads_the_same_voxels(series, labels, written, form, tmp_path):
    """It knows no sheared stack: there it stacks the frames upright, voxel for voxel."""
    path = written / f"{form}.dcm"
    dcmqi("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nrrd")
    frames, grid = onto_slices(labels, series), series.geometry
    for n, value in enumerate(LABELS, start=1):
        # A label map comes as one file with its values, segments as a file each.
        file, stored = ("1.nrrd", value) if form == "labelmap" else (f"{n}.nrrd", n)
        image = sitk.ReadImage(tmp_path / file)
        if not series.stack.tilted:
            image = resampled(image, grid)
        truth = frames == value if series.stack.tilted else labels.mask(value)
        assert dice(sitk.GetArrayFromImage(image) == stored, truth) == 1.0


def test_dcmqi_reads_the_same_numbers(written, tmp_path):
    out = tmp_path / "sr.json"
    dcmqi("tid1500reader", "--inputDICOM", written / "sr.dcm", "--outputMetadata", out)
    groups = json.loads(out.read_text("utf-8"))["Measurements"]
    units = {"": "1", "mmHg": "mm[Hg]"}
    for group, found in zip(GROUPS, groups, strict=True):
        assert found["TrackingIdentifier"] == group.name
        for number, item in zip(group.numbers, found["measurementItems"], strict=True):
            assert float(item["value"]) == pytest.approx(number.value)
            assert item["units"]["CodeValue"] == units.get(number.unit, number.unit)
    assert groups[0]["ReferencedSegment"] == 1
    seg = pydicom.dcmread(written / "seg.dcm")
    assert groups[0]["segmentationSOPInstanceUID"] == seg.SOPInstanceUID


# ---------------------------------------------------------------- what others write


SEGMENT = {
    "labelID": 1,
    "SegmentDescription": "Liver by another",
    "SegmentAlgorithmType": "MANUAL",
    "SegmentedPropertyCategoryCodeSequence": {
        "CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Structure",
    },
    "SegmentedPropertyTypeCodeSequence": {
        "CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver",
    },
    "recommendedDisplayRGBValue": [10, 200, 30],
}  # fmt: skip
MASS = {"CodeValue": "4147007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Mass"}
VOLUME = {"CodeValue": "118565006", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Volume"}
ML = {"CodeValue": "mL", "CodingSchemeDesignator": "UCUM", "CodeMeaning": "milliliter"}


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct")
    phantom.write(folder / "ct", phantom.positions())
    (volume,) = scan([folder / "ct"]).volumes
    return folder, volume


@pytest.fixture(scope="module")
def theirs(ct, tmp_path_factory):
    """Two overlapping segments, as dcmqi writes them."""
    folder, volume = ct
    out = tmp_path_factory.mktemp("dcmqi")
    grid = volume.geometry
    masks = np.random.default_rng(8).random((2, *grid.shape)) < 0.3
    for n, mask in enumerate(masks):
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetOrigin(grid.origin_mm)
        image.SetSpacing(grid.spacing_mm)
        image.SetDirection(grid.direction)
        sitk.WriteImage(image, out / f"{n}.nrrd")
    tumor = SEGMENT | {
        "SegmentDescription": "Mass by another",
        "SegmentedPropertyTypeCodeSequence": MASS,
    }
    about = {
        "ContentCreatorName": "Somebody",
        "ClinicalTrialSeriesID": "1",
        "ClinicalTrialTimePointID": "1",
        "SeriesDescription": "theirs",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "BodyPartExamined": "ABDOMEN",
        "segmentAttributes": [[SEGMENT], [tumor]],
    }
    (out / "seg.json").write_text(json.dumps(about))
    dcmqi(
        "itkimage2segimage", "--inputImageList", f"{out / '0.nrrd'},{out / '1.nrrd'}",
        "--inputDICOMDirectory", folder / "ct", "--outputDICOM", out / "seg.dcm",
        "--inputMetadata", out / "seg.json",
    )  # fmt: skip
    return out, masks


def on_grid(found, name, grid):
    """The voxels of a segment on ``grid``; a file keeps only the slices that are not empty."""
    i, j, k = np.rint(grid.to_index(found.geometry.origin_mm)).astype(int)
    assert np.allclose(grid.to_world((i, j, k)), found.geometry.origin_mm, atol=1e-3)
    full = np.zeros(grid.shape, bool)
    mask = found.mask(name)
    full[k : k + mask.shape[0], j : j + mask.shape[1], i : i + mask.shape[2]] = mask
    return full


def test_we_read_what_dcmqi_writes(ct, theirs):
    out, masks = theirs
    found = read_segmentation(out / "seg.dcm")
    names = [label.name for label in found.labels.values()]
    assert len(found.layers) == 2
    assert [label.code for label in found.labels.values()] == ["10200004", "4147007"]
    for name, mask in zip(names, masks, strict=True):
        assert dice(on_grid(found, name, ct[1].geometry), mask) == 1.0


def test_we_read_the_numbers_that_dcmqi_writes(ct, theirs, tmp_path):
    folder, volume = ct
    out, _ = theirs
    seg = pydicom.dcmread(out / "seg.dcm")
    item = {
        "value": "37.3289",
        "quantity": VOLUME,
        "units": ML,
        "measurementAlgorithmIdentification": {"AlgorithmName": "count", "AlgorithmVersion": "2"},
    }
    group = {
        "TrackingIdentifier": "Lesion 1",
        "TrackingUniqueIdentifier": "1.2.3.77",
        "ReferencedSegment": 2,
        "SourceSeriesForImageSegmentation": volume.series_uid,
        "segmentationSOPInstanceUID": seg.SOPInstanceUID,
        "Finding": MASS,
        "measurementItems": [item],
    }
    about = {
        "SeriesDescription": "theirs",
        "SeriesNumber": "1001",
        "InstanceNumber": "1",
        "compositeContext": ["seg.dcm"],
        "imageLibrary": sorted(p.name for p in (folder / "ct").iterdir()),
        "observerContext": {"ObserverType": "PERSON", "PersonObserverName": "Reader^1"},
        "VerificationFlag": "UNVERIFIED",
        "CompletionFlag": "COMPLETE",
        "activitySession": "1",
        "timePoint": "1",
        "Measurements": [group],
    }
    (tmp_path / "sr.json").write_text(json.dumps(about))
    dcmqi(
        "tid1500writer", "--inputImageLibraryDirectory", folder / "ct",
        "--inputCompositeContextDirectory", out, "--outputDICOM", tmp_path / "sr.dcm",
        "--inputMetadata", tmp_path / "sr.json",
    )  # fmt: skip
    (found,) = read_report(tmp_path / "sr.dcm")
    assert (found.name, found.code, found.uid) == ("Lesion 1", "4147007", "1.2.3.77")
    assert found.segment == (seg.SOPInstanceUID, 2)
    (number,) = found.numbers
    assert (number.quantity, number.value, number.unit) == ("volume", 37.3289, "mL")
    assert number.source == "count"


def test_we_read_what_highdicom_writes(ct, tmp_path):
    _, volume = ct
    kinds = [Code("10200004", "SCT", "Liver"), Code("4147007", "SCT", "Mass")]
    structure = Code("123037004", "SCT", "Anatomical Structure")
    segments = [
        SegmentDescription(n, f"theirs {n}", structure, kind, "MANUAL")
        for n, kind in enumerate(kinds, start=1)
    ]
    masks = np.random.default_rng(9).random((*volume.geometry.shape, 2)) < 0.4
    with lenient():
        images = [pydicom.dcmread(source.path) for source in volume.files]
        for image in images:  # highdicom insists on what the tiny series lacks
            for word in ("StudyID", "StudyDate", "StudyTime", "AccessionNumber"):
                setattr(image, word, "")
            image.PatientBirthDate = image.PatientSex = image.ReferringPhysicianName = ""
        theirs = highdicom.seg.Segmentation(
            images, masks, "BINARY", segments, "1.2.7", 7, "1.2.7.1", 1, "m", "m", "1", "1"
        )
    theirs.save_as(tmp_path / "seg.dcm")
    found = read_segmentation(tmp_path / "seg.dcm")
    assert [label.code for label in found.labels.values()] == ["10200004", "4147007"]
    for n in (1, 2):
        mask = on_grid(found, f"theirs {n}", volume.geometry)
        assert np.array_equal(mask, masks[..., n - 1])


def test_real_overlapping_segments_are_read_as_their_maker_reads_them(real_data, tmp_path):
    folder = real_data / "dicom_seg_dcmqi" / "data" / "segmentations"
    first = read_segmentation(folder / "partial_overlaps.dcm")
    dcmqi(
        "segimage2itkimage", "--inputDICOM", folder / "partial_overlaps.dcm",
        "--outputDirectory", tmp_path, "-t", "nrrd",
    )  # fmt: skip
    for n, label in first.labels.items():
        image = resampled(sitk.ReadImage(tmp_path / f"{n}.nrrd"), first.geometry)
        assert dice(sitk.GetArrayFromImage(image) != 0, first.mask(label.name)) == 1.0
