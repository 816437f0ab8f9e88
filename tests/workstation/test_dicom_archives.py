import os
import zipfile

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from tests.workstation.dicom_phantom import (
    SLICES,
    assert_true_everywhere,
    only,
    positions,
    refusal,
    write,
)
from workstation.dicom import headers
from workstation.dicom.files import DicomError, copy_originals, read, scan
from workstation.dicom.headers import read_header
from workstation.dicom.sources import source_of


def zipped(folder, path, names=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, file in enumerate(sorted(folder.iterdir())):
            archive.writestr(names[n] if names else f"deep/{file.name}", file.read_bytes())
    return path


def test_a_zip_is_read_and_copied_without_unpacking(tmp_path):
    paths = write(tmp_path / "in", positions())
    archive = zipped(tmp_path / "in", tmp_path / "series.zip")
    volume = only(archive)
    assert volume.key == only(tmp_path / "in").key
    assert_true_everywhere(read(volume))
    names = copy_originals(volume, tmp_path / "out")
    copied = sorted((tmp_path / "out" / name).read_bytes() for name in names)
    assert copied == sorted(path.read_bytes() for path in paths)
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(names)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("head_bytes", [133, 300, 700, 1000, 1100, 1200, 1300, 65536])
def test_a_zip_is_scanned_alike_wherever_the_first_look_ends(
    tmp_path, monkeypatch, compressed, head_bytes
):
    def edit(data, k):
        if compressed:
            data.compress(RLELossless)

    write(tmp_path / "in", positions(), edit=edit)
    monkeypatch.setattr(headers, "HEAD_BYTES", head_bytes)
    volume = only(zipped(tmp_path / "in", tmp_path / "series.zip"))
    assert (volume.status, volume.key) == ("ok", only(tmp_path / "in").key)
    assert_true_everywhere(read(volume))


def test_nameless_slices_keep_their_key_when_copied(tmp_path):
    def edit(data, k):
        for name in ("SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            delattr(data, name)

    write(tmp_path / "in", positions(), edit=edit)
    write(tmp_path / "in" / "other", positions(3), edit=edit)
    volumes = scan([tmp_path / "in"]).volumes
    assert sorted(v.geometry.size[2] for v in volumes) == [3, SLICES]
    for n, volume in enumerate(volumes):
        copy_originals(volume, tmp_path / str(n))
        assert only(tmp_path / str(n)).key == volume.key


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "..\\evil", "a/../../evil", "C:\\evil"])
def test_names_that_leave_the_archive_are_refused(tmp_path, name):
    write(tmp_path / "in", positions())
    names = [name, *(f"ok{k}" for k in range(SLICES - 1))]
    found = scan([zipped(tmp_path / "in", tmp_path / "evil.zip", names)])
    assert found.volumes == ()
    assert "outside the archive" in found.ignored[0].reason


def test_a_zip_bomb_is_refused_unopened(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * (40 << 20))
    found = scan([tmp_path / "bomb.zip"])
    assert "would inflate" in found.ignored[0].reason


def test_a_damaged_zip_member_cannot_be_read_quietly(tmp_path):
    write(tmp_path / "in", positions())
    path = tmp_path / "stored.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted((tmp_path / "in").iterdir()):
            archive.write(file, file.name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DicomError):
        read(only(path))


def test_a_deflated_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("workstation.dicom.datasets.DEFLATED_CAP_BYTES", 500)

    def edit(data, k):
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    (path,) = write(tmp_path, positions(1), edit=edit)
    assert "inflate beyond" in read_header(source_of(path)).reason


def test_a_header_that_claims_gigabytes_is_refused(tmp_path):
    def edit(data, k):
        data.compress(RLELossless)
        data.Rows = data.Columns = 65535

    write(tmp_path, positions(1), edit=edit)
    assert refusal(tmp_path) == "too_large"


def test_a_file_changed_since_the_scan_is_not_read(tmp_path):
    path = write(tmp_path, positions())[0]
    volume = only(tmp_path)
    os.utime(path, (1, 1))
    with pytest.raises(DicomError, match="changed"):
        read(volume)


def test_nothing_to_read_is_one_clear_sentence(tmp_path):
    with pytest.raises(DicomError, match="does not exist"):
        scan([tmp_path / "absent"])
    with pytest.raises(DicomError, match="no files"):
        scan([tmp_path]).require_images()
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DicomError, match="not a DICOM file"):
        scan([tmp_path]).require_images()


class Stop(Exception):
    pass


def test_reading_can_be_stopped(tmp_path):
    write(tmp_path, positions())
    volume = only(tmp_path)

    def stop(fraction, message=""):
        raise Stop

    with pytest.raises(Stop):
        read(volume, stop)
    with pytest.raises(Stop):
        scan([tmp_path], stop)


def test_an_unknown_kind_of_value_costs_its_file_alone(tmp_path):
    paths = write(tmp_path, positions())
    content = bytearray(paths[2].read_bytes())
    where = content.index(b"\x28\x00\x11\x00US")  # Columns
    content[where + 4 : where + 6] = b"Ud"
    paths[2].write_bytes(content)
    found = scan([tmp_path])
    assert [item.damaged for item in found.ignored] == [True]
    assert found.volumes[0].findings


def test_an_archive_cut_short_is_called_that(tmp_path):
    write(tmp_path / "in", positions())
    archive = zipped(tmp_path / "in", tmp_path / "series.zip")
    archive.write_bytes(archive.read_bytes()[:3000])
    (item,) = scan([archive]).ignored
    assert "incomplete ZIP" in item.reason
    assert item.damaged
