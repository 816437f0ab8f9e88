"""The same questions to a real PACS; skipped where Orthanc is not installed."""

from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless

from tests.workstation.orthanc import free_port, orthanc
from tests.workstation.pacs_peer import content
from workstation.dicom import network
from workstation.dicom.files import read, scan
from workstation.dicom.inbox import Inbox
from workstation.dicom.network import NetworkError, Node, SeriesQuery, StorageServer, StudyQuery
from workstation.phantom import abdomen, write_dicom


@pytest.fixture(scope="module")
def patient():
    return abdomen(spacing_mm=(3.0, 3.0, 6.0))


@pytest.fixture(scope="module")
def series(patient, tmp_path_factory):
    return sorted(write_dicom(patient, tmp_path_factory.mktemp("sent")))


@pytest.fixture(scope="module")
def planner_port():
    return free_port()


@pytest.fixture(scope="module")
def pacs(tmp_path_factory, planner_port):
    with orthanc(tmp_path_factory.mktemp("orthanc"), planner_port) as running:
        yield Node(
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


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("ORTHANC_TEST_PASSWORD", "test")


@pytest.fixture(scope="module")
def filled(pacs, series):
    """The node, with the series in it, sent half by C-STORE and half by STOW-RS."""
    half = len(series) // 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORTHANC_TEST_PASSWORD", "test")
        assert network.send(pacs, series[:half], "dimse").failed == ()
        assert network.send(pacs, series[half:], "web").failed == ()
    return pacs


@pytest.mark.parametrize("route", ["dimse", "web"])
def test_echo(pacs, route):
    assert network.echo(pacs, route) == route


def test_both_ways_find_the_same(filled, series):
    image = dcmread(series[0])
    for query in (
        StudyQuery(patient_id=image.PatientID),
        StudyQuery(patient_name="SYNTH*"),
        StudyQuery(modality="CT", study_uid=image.StudyInstanceUID),
    ):
        (study,) = network.find_studies(filled, query, "dimse")
        assert network.find_studies(filled, query, "web") == (study,)
        assert study.study_uid == image.StudyInstanceUID
        assert study.instance_count == len(series)
    query = SeriesQuery(image.StudyInstanceUID)
    (found,) = network.find_series(filled, query, "dimse")
    assert network.find_series(filled, query, "web") == (found,)
    assert (found.instance_count, found.modality) == (len(series), "CT")
    nobody = StudyQuery(patient_name="Nobody*")
    assert network.find_studies(filled, nobody, "dimse") == ()
    assert network.find_studies(filled, nobody, "web") == ()


@pytest.mark.parametrize("route", ["dimse", "web"])
def test_what_comes_back_is_what_was_sent(filled, series, patient, route, tmp_path):
    image = dcmread(series[0])
    came = network.fetch(
        filled, image.StudyInstanceUID, image.SeriesInstanceUID, Inbox(tmp_path), route
    )
    assert {content(f) for f in came.files} == {content(f) for f in series}
    (volume,) = scan([tmp_path]).volumes
    assert (read(volume).array == patient.volume.array).all()


def test_move_brings_the_same(filled, series, planner_port, tmp_path):
    server = StorageServer(
        Inbox(tmp_path), ae_title="PLANNER", port=planner_port, accepts=["ORTHANC"]
    )
    with server:
        came = network.move(filled, dcmread(series[0]).StudyInstanceUID, "", server)
    assert {content(f) for f in came.files} == {content(f) for f in series}


@pytest.mark.parametrize("route", ["dimse", "web"])
def test_a_compressed_instance_stays_compressed(pacs, series, route, tmp_path):
    data = dcmread(series[0])
    data.StudyInstanceUID += f".{len(route)}"
    data.SeriesInstanceUID = data.StudyInstanceUID + ".1"
    data.compress(JPEGLSLossless)
    sent = tmp_path / "packed.dcm"
    data.save_as(sent)
    assert network.send(pacs, [sent], route).failed == ()
    (file,) = network.fetch(pacs, data.StudyInstanceUID, "", Inbox(tmp_path / "in"), route).files
    assert dcmread(file).file_meta.TransferSyntaxUID == JPEGLSLossless
    assert content(file) == content(sent)


def test_commitment(filled, series, planner_port, tmp_path):
    other = dcmread(series[0])
    other.SOPInstanceUID += ".9"
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    other.save_as(tmp_path / "never-sent.dcm")
    with StorageServer(Inbox(tmp_path), ae_title="PLANNER", port=planner_port) as server:
        result = network.commit(filled, [*series[:3], tmp_path / "never-sent.dcm"], server)
    assert result.kept == tuple(dcmread(f).SOPInstanceUID for f in series[:3])
    assert [uid for uid, _ in result.failed] == [other.SOPInstanceUID]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ae_title": "WRONG"}, "does not know the AE title"),
        ({"own_ae_title": "STRANGER"}, "does not know us as STRANGER"),
    ],
)
def test_a_refusal_is_told(pacs, change, words):
    with pytest.raises(NetworkError, match=words):
        network.echo(replace(pacs, **change), "dimse")


def test_a_wrong_password_is_told(pacs, monkeypatch):
    monkeypatch.setenv("ORTHANC_TEST_PASSWORD", "wrong")
    with pytest.raises(NetworkError, match="user name or password"):
        network.echo(pacs, "web")
