"""SUV by hand computation, and units that are named only where the header states them."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.workstation.dicom_phantom import COLUMNS, ROWS, codes, only, positions, write
from tests.workstation.test_dicom_multiframe import enhanced, item
from workstation.dicom.files import read, scan
from workstation.dicom.quantities import SUV
from workstation.dicom.suv import suv_per_bq_ml

STORED = 500


def pet(data, k):
    """70 kg, 350 MBq of a nuclide that halves in an hour, two hours before: 1/4 of the dose."""
    data.Modality, data.Units, data.DecayCorrection = "PT", "BQML", "START"
    data.CorrectedImage = ["ATTN", "DECY", "SCAT"]
    data.PatientWeight = 70
    data.SeriesDate = data.AcquisitionDate = "20260301"
    data.SeriesTime, data.AcquisitionTime = "100000", f"1000{3 * k:02d}.5"
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = 350e6, 3600
    drug.RadiopharmaceuticalStartTime = "080000"
    data.RadiopharmaceuticalInformationSequence = Sequence([drug])
    data.RescaleSlope, data.RescaleIntercept = 2.5 + k, 0
    data.PixelData = np.full((ROWS, COLUMNS), STORED, "<i2").tobytes()


def volume(folder, edit=lambda data: None):
    def both(data, k):
        pet(data, k)
        edit(data)

    write(folder, positions(), edit=both, modality="PT")
    return only(folder)


def drug_of(data):
    return data.RadiopharmaceuticalInformationSequence[0]


def test_suv_is_the_worked_number_slice_by_slice(tmp_path):
    scanned = volume(tmp_path)
    image = read(scanned)
    assert image.quantity == "SUV (g/mL)" == SUV
    assert "no_suv" not in codes(scanned)
    decayed_bq = 350e6 / 4
    expected = [STORED * (2.5 + k) * 70_000 / decayed_bq for k in range(6)]
    assert expected[0] == pytest.approx(1.0)  # 1250 Bq/mL x 70000 g / 87.5 MBq
    np.testing.assert_allclose(image.array[:, 0, 0], expected, rtol=1e-6)


def test_activity_corrected_to_the_injection_takes_the_whole_dose(tmp_path):
    def admin(data):
        data.DecayCorrection = "ADMIN"
        del data.SeriesTime

    image = read(volume(tmp_path, admin))
    assert image.quantity == SUV
    assert image.array[0, 0, 0] == pytest.approx(1250 * 70_000 / 350e6)


def test_an_injection_before_midnight_needs_its_date(tmp_path):
    def midnight(data):
        data.SeriesTime, data.AcquisitionTime = "003000", "003100"
        drug_of(data).RadiopharmaceuticalStartTime = "233000"

    assert "no_suv" in codes(volume(tmp_path / "time", midnight))

    def dated(data):
        midnight(data)
        drug_of(data).RadiopharmaceuticalStartDateTime = "20260228233000.0"

    assert read(volume(tmp_path / "dated", dated)).array[0, 0, 0] == pytest.approx(0.5)


def remove(*names, drug=False):
    def edit(data):
        for name in names:
            delattr(drug_of(data) if drug else data, name)

    return edit


def put(drug=False, **kind):
    def edit(data):
        for name, value in kind.items():
            setattr(drug_of(data) if drug else data, name, value)

    return edit


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (remove("PatientWeight"), "weight is absent"),
        (put(PatientWeight=0), "weight of 0"),
        (remove("RadionuclideTotalDose", drug=True), "dose is absent"),
        (put(drug=True, RadionuclideTotalDose=350), "dose of 350 is not plausible"),
        (remove("RadionuclideHalfLife", drug=True), "half-life is absent"),
        (put(drug=True, RadionuclideHalfLife=0), "half-life of 0"),
        (remove("RadiopharmaceuticalStartTime", drug=True), "injection time is absent"),
        (put(drug=True, RadiopharmaceuticalStartTime="110000"), "-3600 s after the injection"),
        (remove("RadiopharmaceuticalInformationSequence"), "radiopharmaceutical"),
        (remove("SeriesTime"), "series time is absent"),
        (put(SeriesTime="100500"), "written after its acquisition"),
        (put(DecayCorrection="NONE"), "decay correction is NONE"),
        (remove("DecayCorrection"), "decay correction is not stated"),
        (put(CorrectedImage=["DECY"]), "attenuation"),
        (
            put(drug=True, RadiopharmaceuticalStartDateTime="20260301080000+0100"),
            "another time zone",
        ),
    ],
)
def test_what_is_missing_is_named_and_the_values_stay_activity(tmp_path, edit, word):
    scanned = volume(tmp_path, edit)
    assert scanned.status == "ok"
    image = read(scanned)
    assert image.quantity == "PET activity (Bq/mL)"
    assert image.array[0, 0, 0] == pytest.approx(1250)
    (sentence,) = [f.sentence for f in image.findings if f.code == "no_suv"]
    assert word in sentence


@pytest.mark.parametrize(
    ("kind", "quantity", "note"),
    [
        ({"Units": "GML"}, "SUV (g/mL)", False),
        ({"Units": "GML", "SUVType": "LBM"}, "SUV LBM (g/mL)", False),
        ({"Units": "CNTS"}, "PET counts (no unit)", True),
        ({"Units": "PROPCPS"}, "PET activity (PROPCPS)", True),
        ({"Units": ""}, "PET activity (no unit)", True),
    ],
)
def test_other_units_are_kept_and_named(tmp_path, kind, quantity, note):
    scanned = volume(tmp_path, put(**kind))
    image = read(scanned)
    assert (image.quantity, "no_suv" in codes(scanned)) == (quantity, note)
    assert image.array[0, 0, 0] == pytest.approx(1250)


def test_a_slice_without_weight_among_others_is_refused(tmp_path):
    def edit(data, k):
        pet(data, k)
        if k == 2:
            del data.PatientWeight

    write(tmp_path, positions(), edit=edit, modality="PT")
    assert codes(only(tmp_path))[0] == "mixed_values"


@pytest.mark.parametrize("minutes", [0, 10, 109.77, 240])
def test_decay_is_that_of_the_half_life(minutes):
    data = Dataset()
    pet(data, 0)
    begin = datetime(2026, 3, 1, 20, 0) - timedelta(minutes=minutes)
    data.SeriesTime = data.AcquisitionTime = "200000"
    drug_of(data).RadiopharmaceuticalStartTime = begin.strftime("%H%M%S.%f")
    drug_of(data).RadionuclideHalfLife = 6586.2
    expected = 70_000 / 350e6 * 2 ** (minutes * 60 / 6586.2)
    assert suv_per_bq_ml(data) == pytest.approx(expected, rel=1e-6)


# ------------------------------------------------------------------ other quantities


def mapped(unit, slope=0.5, intercept=-10.0, **more):
    data = Dataset()
    data.RealWorldValueSlope, data.RealWorldValueIntercept = slope, intercept
    data.MeasurementUnitsCodeSequence = item(CodeValue=unit)
    for name, value in more.items():
        setattr(data, name, value)
    return data


CODE = item(CodeMeaning="Apparent Diffusion Coefficient")
NAMED = {"QuantityDefinitionSequence": item(ConceptCodeSequence=CODE)}
ADC = "Apparent Diffusion Coefficient (mm2/s)"


@pytest.mark.parametrize(
    ("modality", "types", "maps", "quantity", "value"),
    [
        ("MR", ["ADC"], [mapped("mm2/s", **NAMED)], ADC, 240),
        ("MR", ["M"], [mapped("1")], "MR intensity", 500),
        ("MR", ["M"], [mapped("ms"), mapped("s")], "MR intensity", 500),
        ("MR", ["P"], [], "MR phase (no unit)", 500),
        ("MR", ["VELOCITY MAP", "P"], [mapped("cm/s")], "MR velocity (cm/s)", 240),
        ("MR", ["VELOCITY MAP", "P"], [], "MR velocity (no unit)", 500),
        ("CT", ["PERFUSION"], [mapped("ml/100ml/min")], "CT value (ml/100ml/min)", 240),
        ("CT", ["AXIAL"], [mapped("ms")], "HU", 400),
    ],
)
def test_a_unit_comes_from_the_header_or_there_is_none(
    tmp_path, modality, types, maps, quantity, value
):
    def edit(data, k):
        data.ImageType = ["ORIGINAL", "PRIMARY", *types]
        data.PixelData = np.full((ROWS, COLUMNS), STORED, "<i2").tobytes()
        if maps:
            data.RealWorldValueMappingSequence = Sequence(maps)

    write(tmp_path, positions(), edit=edit, modality=modality)
    image = read(only(tmp_path))
    assert (image.quantity, float(image.array[1, 2, 3])) == (quantity, value)


@pytest.mark.parametrize(
    ("kind", "quantity"), [("HZ", "MR phase (HZ)"), ("US", "MR phase (no unit)")]
)
def test_frames_name_their_unit_by_rescale_type(tmp_path, kind, quantity):
    data = enhanced(positions(), ["PHASE"], [1.0])
    for frame in data.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleType = kind
    data.save_as(tmp_path / "one")
    (scanned,) = scan([tmp_path]).volumes
    assert read(scanned).quantity == quantity


def test_frames_are_mapped_by_their_own_map(tmp_path):
    data = enhanced(positions(), ["T1"], [1.0])
    stored = np.frombuffer(data.PixelData, "<i2")
    for frame in data.PerFrameFunctionalGroupsSequence:
        frame.RealWorldValueMappingSequence = Sequence([mapped("ms")])
    data.save_as(tmp_path / "one")
    (scanned,) = scan([tmp_path]).volumes
    image = read(scanned)
    assert image.quantity == "MR value (ms)"
    np.testing.assert_allclose(np.sort(image.array.ravel()), np.sort(0.5 * stored - 10))
