import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless

from tests.workstation.dicom_phantom import (
    AXIAL,
    COLUMNS,
    OBLIQUE,
    ROWS,
    SAGITTAL,
    SLICES,
    SPACING,
    assert_true_everywhere,
    codes,
    fill,
    make_slice,
    normal,
    only,
    positions,
    refusal,
    slice_points,
    values_at,
    write,
)
from workstation.dicom.files import DicomError, read, require_one_patient, scan


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
@pytest.mark.parametrize("sign", [1, -1])
def test_every_voxel_lies_where_the_header_says(tmp_path, orientation, sign):
    write(tmp_path, positions(step=sign * 2.5 * normal(orientation)), orientation)
    scanned = only(tmp_path)
    volume = read(scanned)
    assert scanned.status == "ok"
    assert volume.geometry == scanned.geometry
    assert volume.geometry.size == (COLUMNS, ROWS, SLICES)
    assert volume.geometry.spacing_mm == pytest.approx((SPACING[1], SPACING[0], 2.5))
    assert np.linalg.det(volume.geometry.axes) == pytest.approx(1)
    assert volume.array.dtype == np.int16
    assert volume.quantity == "HU"
    assert_true_everywhere(volume)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(SLICES)), turn=st.floats(0, 6.2))
def test_file_order_and_numbers_do_not_matter(tmp_path_factory, order, turn):
    c, s = np.cos(turn), np.sin(turn)
    orientation = (c, s, 0.0, -s * 0.6, c * 0.6, 0.8)
    places = positions(step=1.5 * normal(orientation))
    folder = tmp_path_factory.mktemp("series")
    write(folder, [places[n] for n in order], orientation)
    assert_true_everywhere(read(only(folder)), tolerance=0.52)


def test_json_is_the_documented_one(tmp_path):
    write(tmp_path, positions())
    (tmp_path / "notes.txt").write_text("hello")
    document = scan([tmp_path]).to_json()
    volume = document["volumes"][0]
    assert volume["size"] == [COLUMNS, ROWS, SLICES]
    assert volume["direction"] == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert volume["origin_mm"] == [-8, 4, 30]
    assert (volume["status"], volume["files"], volume["modality"]) == ("ok", SLICES, "CT")
    assert document["ignored"] == [
        {"path": str(tmp_path / "notes.txt"), "reason": "not a DICOM file"}
    ]


@pytest.mark.parametrize("shear", [(0.0, 0.9, 2.5), (-0.7, 0.5, 2.5)])
def test_gantry_tilt_is_straightened(tmp_path, shear):
    write(tmp_path, positions(step=shear))
    scanned = only(tmp_path)
    assert scanned.status == "repaired"
    assert "gantry_tilt" in codes(scanned)
    volume = read(scanned)
    assert volume.geometry.spacing_mm[2] == pytest.approx(2.5)
    assert volume.geometry.size[1] > ROWS
    inside = volume.array[:, 2:-2, 2:-2]
    assert (inside != -1024).any()
    k, j, i = np.indices(volume.array.shape)
    points = volume.geometry.to_world(np.stack([i, j, k], axis=-1))
    own = points - np.asarray(shear) * k[..., None] - np.array(positions()[0])
    limits = np.array([(COLUMNS - 1) * SPACING[1], (ROWS - 1) * SPACING[0]])
    seen = np.all((own[..., :2] > -1e-6) & (own[..., :2] < limits + 1e-6), axis=-1)
    assert seen.sum() > 0.8 * ROWS * COLUMNS * SLICES
    assert np.abs(volume.array - values_at(points))[seen].max() < 1.1


def test_missing_slice_is_refused_with_place_and_count(tmp_path):
    write(tmp_path, [p for k, p in enumerate(positions(8)) if k != 3])
    assert refusal(tmp_path) == "missing_slices"
    sentence = only(tmp_path).findings[0].sentence
    assert "1 slice is missing from 8" in sentence
    assert "35.0" in sentence


def test_one_missing_slice_of_a_very_thin_stack_is_seen(tmp_path):
    places = positions(30, step=(0, 0, 0.08))
    write(tmp_path, [p for k, p in enumerate(places) if k != 15])
    assert refusal(tmp_path) == "missing_slices"


def test_two_slabs_become_two_volumes(tmp_path):
    heights = [0, 4, 8, 12, 19, 26, 33]
    write(tmp_path, [(0, 0, z) for z in heights])
    volumes = scan([tmp_path]).volumes
    assert [v.geometry.spacing_mm[2] for v in volumes] == pytest.approx([4, 7])
    assert {v.series_uid for v in volumes} == {"1.2.3"}
    assert len({v.key for v in volumes}) == 2
    assert len({v.description for v in volumes}) == 2
    for volume in volumes:
        assert "split_by_spacing" in codes(volume)
        assert_true_everywhere(read(volume))


def test_uneven_spacing_is_refused(tmp_path):
    write(tmp_path, [(0, 0, z) for z in (0, 2, 4, 6.4, 8, 10)])
    assert refusal(tmp_path) == "irregular_spacing"


def test_a_slice_beside_the_others_is_refused(tmp_path):
    places = positions()
    places[2] = (places[2][0] + 0.3, *places[2][1:])
    write(tmp_path, places)
    assert refusal(tmp_path) == "drift"


def test_identical_copies_are_dropped_and_told(tmp_path):
    paths = write(tmp_path, positions())
    (tmp_path / "again").write_bytes(paths[2].read_bytes())
    found = scan([tmp_path])
    assert [v.status for v in found.volumes] == ["ok"]
    assert "duplicate_copies" in codes(found.volumes[0])
    assert len(found.ignored) == 1
    assert "copy" in found.ignored[0].reason
    assert_true_everywhere(read(found.volumes[0]))


def test_the_same_images_under_other_names_are_dropped(tmp_path):
    def renamed(data, k):
        data.SOPInstanceUID = f"1.2.3.8.{k}"

    write(tmp_path, positions())
    write(tmp_path, positions(), edit=renamed)
    volume = only(tmp_path)
    assert volume.status == "ok"
    assert "duplicate_copies" in codes(volume)
    assert_true_everywhere(read(volume))


@pytest.mark.parametrize("same_uid", [True, False])
def test_another_slice_at_one_place_is_refused(tmp_path, same_uid):
    def other(data, k):
        data.SOPInstanceUID = "1.2.3.9.3" if same_uid else "1.2.3.77"
        fill(data, np.full((ROWS, COLUMNS), 12.0))

    write(tmp_path, positions())
    write(tmp_path, [positions()[2]], edit=other)
    assert refusal(tmp_path) == "same_position"


def test_phases_are_split_by_acquisition(tmp_path):
    def phase(number):
        def edit(data, k):
            data.AcquisitionNumber = number
            data.SOPInstanceUID = f"1.2.3.{number}.{k}"
            fill(data, np.full((ROWS, COLUMNS), 100.0 * number))

        return edit

    write(tmp_path, positions(6), edit=phase(1))
    write(tmp_path, positions(4), edit=phase(2))
    volumes = scan([tmp_path]).volumes
    assert sorted(v.geometry.size[2] for v in volumes) == [4, 6]
    for v in volumes:
        number = 1 if v.geometry.size[2] == 6 else 2
        assert f"AcquisitionNumber {number}" in v.description
        assert np.all(read(v).array == 100 * number)


def test_repetitions_without_any_mark_are_split_by_instance_number(tmp_path):
    def edit(data, k):
        data.InstanceNumber = 3 * (k % SLICES) + k // SLICES + 1
        fill(data, np.full((ROWS, COLUMNS), 10.0 * (k // SLICES)))

    write(tmp_path, positions() * 3, edit=edit)
    volumes = scan([tmp_path]).volumes
    assert [np.unique(read(v).array).tolist() for v in volumes] == [[0], [10], [20]]
    assert all("split_by_number" in codes(v) for v in volumes)


def test_repetitions_with_contradicting_numbers_are_refused(tmp_path):
    numbers = [1, 7, 3, 9, 5, 11]

    def edit(data, k):
        data.InstanceNumber = numbers[k % SLICES] + k // SLICES
        fill(data, np.full((ROWS, COLUMNS), float(k)))

    write(tmp_path, positions() * 2, edit=edit)
    assert refusal(tmp_path) == "same_position"


def test_localizers_are_left_out(tmp_path):
    def localizer(data, k):
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        data.SOPInstanceUID = "1.2.3.50"

    write(tmp_path, positions())
    write(tmp_path, [(0, 0, 0)], SAGITTAL, edit=localizer)
    found = scan([tmp_path])
    assert [v.status for v in found.volumes] == ["ok"]
    assert "localizer" in found.ignored[0].reason


def test_echoes_are_volumes_of_their_own(tmp_path):
    def edit(data, k):
        data.EchoNumbers = 1 + k // SLICES

    write(tmp_path, positions() * 2, edit=edit, modality="MR")
    volumes = scan([tmp_path]).volumes
    assert [v.status for v in volumes] == ["ok", "ok"]
    assert ["echo 1" in v.description for v in volumes] == [True, False]
    assert read(volumes[0]).quantity == "MR intensity"


def test_rescale_that_changes_per_slice_is_applied_per_slice(tmp_path):
    def edit(data, k):
        data.RescaleSlope, data.RescaleIntercept = 0.5 + 0.25 * k, -10.5 * k
        fill(data, values_at(slice_points(positions()[k], AXIAL)))

    write(tmp_path, positions(), edit=edit)
    volume = read(only(tmp_path))
    assert "rescale_varies" in codes(volume)
    assert volume.array.dtype == np.float32
    assert_true_everywhere(volume, tolerance=1.0)


def test_values_beyond_16_bits_stay_whole(tmp_path):
    def edit(data, k):
        data.PixelRepresentation = 0
        stored = np.full((ROWS, COLUMNS), 65000, "<u2")
        stored[0, 0] = k
        data.PixelData = stored.tobytes()

    write(tmp_path, positions(), edit=edit)
    array = read(only(tmp_path)).array
    assert array.dtype == np.int32
    assert array[:, 0, 0].tolist() == [k - 100 for k in range(SLICES)]
    assert array[0, 1, 1] == 64900


@pytest.mark.parametrize("signed", [True, False])
def test_bits_outside_the_stored_ones_are_cleared(tmp_path, signed):
    def edit(data, k):
        data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, int(signed)
        stored = np.full((ROWS, COLUMNS), 0xF000 | (0xFFE if signed else 0x7FE), "<u2")
        stored[0, 0] = 0x5005
        data.PixelData = stored.tobytes()

    write(tmp_path, positions(), edit=edit)
    volume = read(only(tmp_path))
    array = volume.array
    assert "unused_bits" in codes(volume)
    assert array[0, 0, 0] == 5 - 100
    assert array[0, 1, 1] == (-2 if signed else 0x7FE) - 100


def test_stored_bits_may_begin_above_the_lowest(tmp_path):
    def edit(data, k):
        data.BitsStored, data.HighBit = 12, 15
        data.PixelData = np.full((ROWS, COLUMNS), (-7 << 4) + 9, "<i2").tobytes()

    write(tmp_path, positions(), edit=edit)
    assert np.all(read(only(tmp_path)).array == -107)


def test_padding_keeps_its_value_and_is_told(tmp_path):
    def edit(data, k):
        data.PixelPaddingValue = -2000
        stored = np.frombuffer(data.PixelData, "<i2").reshape(ROWS, COLUMNS).copy()
        stored[0] = -2000
        data.PixelData = stored.tobytes()

    write(tmp_path, positions(), edit=edit)
    volume = read(only(tmp_path))
    assert np.all(volume.array[:, 0] == -2100)
    assert "padding" in codes(volume)
    assert "implausible_low" not in codes(volume)


def test_monochrome1_keeps_its_values(tmp_path):
    def edit(data, k):
        data.PhotometricInterpretation = "MONOCHROME1"

    write(tmp_path, positions(), edit=edit)
    volume = read(only(tmp_path))
    assert_true_everywhere(volume)
    assert "monochrome1" in codes(volume)


def damage(name, value):
    def edit(data, k):
        if k == 2:
            if value is None:
                delattr(data, name)
            else:
                setattr(data, name, value)

    return edit


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ImagePositionPatient", None, "no_position"),
        ("ImagePositionPatient", ["nan", "0", "0"], "no_position"),
        ("PixelSpacing", None, "no_position"),
        ("ImageOrientationPatient", None, "no_position"),
        ("PixelSpacing", ["-0.75", "1.25"], None),
        ("PixelSpacing", ["0.8", "1.25"], None),
        ("ImageOrientationPatient", list(SAGITTAL), None),
        ("RescaleSlope", "0", "unreadable_slice"),
        ("PhotometricInterpretation", "RGB", None),
        ("Rows", 4000, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_one_damaged_slice_never_thins_the_stack(tmp_path, name, value, code):
    write(tmp_path, positions(), edit=damage(name, value))
    volumes = scan([tmp_path]).volumes
    whole = [v for v in volumes if len(v.slices) > 2]
    assert [v.status for v in whole] == ["refused"]
    assert code in (None, whole[0].findings[0].code)


@pytest.mark.parametrize("end", [0, SLICES - 1])
def test_a_damaged_end_slice_is_noticed(tmp_path, end):
    def edit(data, k):
        if k == end:
            data.PixelSpacing = ["0.8", "1.25"]

    write(tmp_path, positions(), edit=edit)
    largest = max(scan([tmp_path]).volumes, key=lambda v: len(v.slices))
    assert largest.status == "refused"
    assert codes(largest)[0] == "slice_differs"


def test_an_end_slice_that_lost_its_series_is_told(tmp_path):
    def edit(data, k):
        if k == SLICES - 1:
            data.SeriesInstanceUID = "1.2.37"

    write(tmp_path, positions(), edit=edit)
    largest = max(scan([tmp_path]).volumes, key=lambda v: len(v.slices))
    assert "stray_slice" in codes(largest)


@pytest.mark.parametrize("keep", [0.6, 0.7, 0.9, 0.97])
def test_a_truncated_file_refuses_its_series(tmp_path, keep):
    paths = write(tmp_path, positions())
    content = paths[-1].read_bytes()
    paths[-1].write_bytes(content[: int(keep * len(content))])
    statuses = {(v.status, v.findings[0].code) for v in scan([tmp_path]).volumes}
    assert statuses in (
        {("refused", "truncated")},
        {("refused", "unreadable_slice")},
        {("refused", "no_position")},
    )


@pytest.mark.parametrize("length", [0, 200, 400])
def test_a_file_cut_before_it_names_its_series_leaves_a_warning(tmp_path, length):
    paths = write(tmp_path, positions())
    paths[-1].write_bytes(paths[-1].read_bytes()[:length])
    volume = only(tmp_path)
    assert "unreadable_neighbour" in codes(volume)


def test_slices_that_all_claim_one_place_are_refused(tmp_path):
    def edit(data, k):
        data.AcquisitionNumber = k
        fill(data, np.full((ROWS, COLUMNS), float(k)))

    write(tmp_path, [(0, 0, 0)] * 5, edit=edit)
    assert refusal(tmp_path) == "same_position"


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_dicomdir_opens_its_folder_and_tells_what_is_absent(tmp_path):
    write(tmp_path / "IMAGES", positions())
    index = make_slice((0, 0, 0))
    for name in ("Rows", "Columns", "PixelData"):
        delattr(index, name)
    names = (["IMAGES", "IM000"], ["IMAGES", "IM099"], ["..", "..", "secret"])
    records = []
    for name in names:
        record = Dataset()
        record.ReferencedFileID = list(name)
        records.append(record)
    index.DirectoryRecordSequence = records
    index.save_as(tmp_path / "DICOMDIR")
    found = scan([tmp_path / "DICOMDIR"])
    reasons = " | ".join(f"{i.path}: {i.reason}" for i in found.ignored)
    assert "IM099" in reasons
    assert "outside its folder" in reasons
    assert "IM000" not in reasons
    assert "unreadable_neighbour" in codes(found.volumes[0])


def test_a_link_inside_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a link" in scan([tmp_path / "link.zip"]).ignored[0].reason


def test_gaps_between_thin_slices_are_told(tmp_path):
    write(tmp_path, positions())
    assert "slice_gaps" in codes(only(tmp_path))


def test_mosaic_is_refused_by_name(tmp_path):
    def edit(data, k):
        data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]

    write(tmp_path, positions(2), edit=edit, modality="MR")
    assert refusal(tmp_path) == "mosaic"


def test_two_patients_are_listed_and_told_apart(tmp_path):
    def other(data, k):
        data.PatientName, data.PatientID = "Roe^Rob", "P2"

    write(tmp_path / "a", positions())
    write(tmp_path / "b", positions(), edit=other, series="1.2.4")
    found = scan([tmp_path])
    assert [p.patient_id for p in found.patients] == ["P1", "P2"]
    require_one_patient(found.volumes[:1])
    with pytest.raises(DicomError, match="2 different patients"):
        require_one_patient(found.volumes)


def test_one_series_of_two_patients_is_refused(tmp_path):
    write(tmp_path, positions(), edit=damage("PatientID", "P2"))
    assert {codes(v)[0] for v in scan([tmp_path]).volumes} == {"mixed_patients"}


def test_names_are_decoded_and_phantoms_known(tmp_path):
    def edit(data, k):
        data.SpecificCharacterSet, data.PatientName = "ISO_IR 192", "Грінченко^Олена"

    write(tmp_path, positions(), edit=edit)
    volume = only(tmp_path)
    assert volume.patient.name == "Грінченко^Олена"
    assert volume.synthetic


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, RLELossless])
def test_other_transfer_syntaxes_hold_the_same_image(tmp_path, syntax):
    def edit(data, k):
        if syntax == RLELossless:
            data.compress(syntax)
        else:
            data.file_meta.TransferSyntaxUID = syntax

    write(tmp_path, positions(), edit=edit)
    assert_true_everywhere(read(only(tmp_path)))


def test_big_endian_holds_the_same_image(tmp_path):
    for k, place in enumerate(positions()):
        data = Dataset()
        little = make_slice(place, number=k + 1)
        data.update(little)
        data.file_meta = little.file_meta
        data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
        data["PixelData"].VR = "OW"
        data.save_as(tmp_path / str(k), enforce_file_format=True)
    assert_true_everywhere(read(only(tmp_path)))


def test_files_without_preamble_and_meta_are_read(tmp_path):
    for path in write(tmp_path, positions()):
        content = path.read_bytes()
        path.write_bytes(content[content.index(b"\x08\x00\x08\x00") :])
    assert_true_everywhere(read(only(tmp_path)))
