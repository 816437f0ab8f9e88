import socket
import struct
import threading
import time
from dataclasses import replace
from datetime import date

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)
from pynetdicom import build_context, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from tests.workstation import dicom_phantom
from tests.workstation.pacs_peer import Archive, content
from workstation.dicom import network
from workstation.dicom.associations import associate, make_ae
from workstation.dicom.files import read, scan
from workstation.dicom.inbox import Inbox
from workstation.dicom.network import NetworkError, Node, SeriesQuery, StorageServer, StudyQuery
from workstation.phantom import abdomen, write_dicom


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def patient():
    return abdomen(spacing_mm=(3.0, 3.0, 6.0))


@pytest.fixture(scope="module")
def series(patient, tmp_path_factory):
    return sorted(write_dicom(patient, tmp_path_factory.mktemp("sent")))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Two series of one study, of six small files each."""
    folder = tmp_path_factory.mktemp("tiny")
    one = dicom_phantom.write(folder / "1", dicom_phantom.positions(), series="1.2.3")
    two = dicom_phantom.write(
        folder / "2", dicom_phantom.positions(), series="1.2.4", modality="MR", edit=rename
    )
    return one + two


def rename(data, k):
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientName = "Παπαδοπούλου^Μαρία"


def stopping_at(text):
    def progress(fraction, message=""):
        if text in message:
            raise Stop

    return progress


def only_whole_files(folder):
    names = [path.name for path in folder.iterdir()]
    assert not [name for name in names if name.endswith(".part")]
    for path in folder.iterdir():
        dcmread(path)
    return len(names)


def test_echo_answers():
    with Archive().serve() as node:
        assert network.echo(node) == "dimse"


def test_find_studies_and_series(tiny):
    archive = Archive(tiny)
    with archive.serve() as node:
        (study,) = network.find_studies(node, StudyQuery(patient_id="P1"))
        found = network.find_series(node, SeriesQuery(study.study_uid))
    assert study.study_uid == "1.2"
    assert study.modalities == ("CT", "MR")
    assert (study.series_count, study.instance_count) == (2, 12)
    assert study.birth_date is None
    assert [(s.series_uid, s.modality, s.instance_count) for s in found] == [
        ("1.2.3", "CT", 6),
        ("1.2.4", "MR", 6),
    ]


def test_find_narrows_and_keeps_letters(tiny):
    archive = Archive(tiny)
    with archive.serve() as node:
        (greek,) = network.find_studies(node, StudyQuery(patient_name="Παπ*"))
        assert network.find_studies(node, StudyQuery(patient_name="Nobody")) == ()
    assert greek.patient_name == "Παπαδοπούλου^Μαρία"
    assert archive.identifiers[0].SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("first", "last", "sent", "hits"),
    [
        (date(2024, 1, 2), None, "20240102-", 1),
        (None, date(2024, 1, 1), "-20240101", 0),
        (date(2024, 1, 1), date(2024, 1, 3), "20240101-20240103", 1),
    ],
)
def test_find_by_date(series, first, last, sent, hits):
    archive = Archive(series[:1])
    with archive.serve() as node:
        found = network.find_studies(node, StudyQuery(date_from=first, date_to=last))
    assert archive.identifiers[0].StudyDate == sent
    assert [study.study_date for study in found] == [date(2024, 1, 2)] * hits


def test_find_refuses_more_than_the_limit(tiny):
    with Archive(tiny).serve() as node:
        assert len(network.find_series(node, SeriesQuery("1.2", limit=2))) == 2
        with pytest.raises(NetworkError, match="more than 1 matches"):
            network.find_series(node, SeriesQuery("1.2", limit=1))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: StudyQuery(patient_name="a\\b"),
        lambda: StudyQuery(patient_id="a\n"),
        lambda: StudyQuery(date_from=date(2024, 2, 1), date_to=date(2024, 1, 1)),
        lambda: SeriesQuery(""),
        lambda: StudyQuery(limit=0),
    ],
)
def test_a_query_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"backslash|after|UID|limit"):
        wrong()


def test_get_brings_identical_files_that_read_as_the_same_volume(series, patient, tmp_path):
    with Archive(series).serve() as node:
        study = dcmread(series[0]).StudyInstanceUID
        came = network.fetch(node, study, "", Inbox(tmp_path))
    assert len(came.files) == len(series)
    assert {content(f) for f in came.files} == {content(f) for f in series}
    (volume,) = scan([tmp_path]).volumes
    assert (read(volume).array == patient.volume.array).all()


def test_get_of_one_series(tiny, tmp_path):
    with Archive(tiny).serve() as node:
        came = network.fetch(node, "1.2", "1.2.4", Inbox(tmp_path))
    assert {content(f) for f in came.files} == {content(f) for f in tiny[6:]}


def test_get_again_overwrites_nothing(tiny, tmp_path):
    with Archive(tiny).serve() as node:
        first = network.fetch(node, "1.2", "", Inbox(tmp_path))
        stamps = {f: f.stat().st_mtime_ns for f in first.files}
        again = network.fetch(node, "1.2", "", Inbox(tmp_path))
    assert (len(again.files), len(again.known)) == (0, 12)
    assert {f: f.stat().st_mtime_ns for f in again.known} == stamps


def test_get_keeps_a_compressed_transfer_syntax(tiny, tmp_path):
    data = dcmread(tiny[0])
    data.compress(JPEGLSLossless)
    data.save_as(tmp_path / "packed.dcm")
    with Archive([tmp_path / "packed.dcm"]).serve() as node:
        (file,) = network.fetch(node, "1.2", "", Inbox(tmp_path / "in")).files
    assert dcmread(file).file_meta.TransferSyntaxUID == JPEGLSLossless
    assert content(file) == content(tmp_path / "packed.dcm")


def test_get_tells_of_a_transfer_that_breaks_off(tiny, tmp_path):
    with (
        Archive(tiny, break_after=4).serve() as node,
        pytest.raises(NetworkError, match="incomplete, 4 of 12 files came") as caught,
    ):
        network.fetch(node, "1.2", "", Inbox(tmp_path))
    assert "fetch again" in caught.value.remedy
    assert only_whole_files(tmp_path) == 4


def test_get_of_nothing_is_told(tiny, tmp_path):
    with Archive(tiny).serve() as node, pytest.raises(NetworkError, match="sent nothing"):
        network.fetch(node, "1.2", "9.9", Inbox(tmp_path))


def test_get_is_cancelled_by_progress(tiny, tmp_path):
    archive = Archive(tiny)
    with archive.serve() as node:
        with pytest.raises(Stop):
            network.fetch(node, "1.2", "", Inbox(tmp_path), progress=stopping_at("3 of"))
        assert archive.ended.wait(5)
    assert 3 <= only_whole_files(tmp_path) <= 12


def test_get_stops_when_the_disk_is_nearly_full(tiny, tmp_path):
    inbox = Inbox(tmp_path, reserve_bytes=1 << 60)
    with Archive(tiny).serve() as node, pytest.raises(NetworkError, match="nearly full"):
        network.fetch(node, "1.2", "", inbox)
    assert only_whole_files(tmp_path) == 0


def test_a_big_set_comes_whole(tmp_path):
    places = dicom_phantom.positions(count=80)
    sent = dicom_phantom.write(tmp_path / "out", places)
    seen = []
    with Archive(sent).serve() as node:
        came = network.fetch(
            node, "1.2", "", Inbox(tmp_path / "in"), progress=lambda f, m="": seen.append(f)
        )
    assert {content(f) for f in came.files} == {content(f) for f in sent}
    assert seen == sorted(seen)
    assert len(set(seen)) > 20


def test_move_to_our_own_server(tiny, tmp_path):
    archive = Archive(tiny)
    with (
        archive.serve() as node,
        StorageServer(Inbox(tmp_path), ae_title="PLANNER", port=0, accepts=["ARCHIVE"]) as server,
    ):
        archive.move_to, archive.move_title = ("127.0.0.1", server.port), "PLANNER"
        came = network.move(node, "1.2", "1.2.3", server)
    assert {content(f) for f in came.files} == {content(f) for f in tiny[:6]}


def test_move_to_a_title_that_the_node_does_not_know(tiny, tmp_path):
    archive = Archive(tiny)
    with (
        archive.serve() as node,
        StorageServer(Inbox(tmp_path), port=0) as server,
        pytest.raises(NetworkError, match="does not know our AE title as a destination"),
    ):
        network.move(node, "1.2", "", server)


def test_send_to_our_own_server_is_byte_for_byte(series, tmp_path):
    with StorageServer(Inbox(tmp_path), ae_title="PLANNER", port=0) as server:
        node = Node("own", "127.0.0.1", server.port, "PLANNER")
        done = network.send(node, series)
    assert (len(done.sent), done.failed) == (len(series), ())
    assert {content(f) for f in tmp_path.iterdir()} == {content(f) for f in series}


def test_send_does_not_decode(tiny, tmp_path):
    """A length that decoding would correct goes over the wire as it is."""
    whole = tiny[0].read_bytes()
    odd = tmp_path / "odd.dcm"
    odd.write_bytes(whole + bytes.fromhex("e17f1000 4f42 0000 04000000") + b"\0odd")
    archive = Archive()
    with archive.serve() as node:
        network.send(node, [odd])
    assert list(archive.stored.values()) == [content(odd)]


def test_send_lists_what_the_node_refuses_and_what_is_no_dicom(tiny, tmp_path):
    archive = Archive()
    archive.unknown = {dcmread(tiny[2]).SOPInstanceUID}
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    with archive.serve() as node:
        done = network.send(node, [*tiny[:4], text])
    assert done.sent == (tiny[0], tiny[1], tiny[3])
    assert [path for path, _ in done.failed] == [text, tiny[2]]
    assert "0xA700" in done.failed[1][1]
    assert {archive.stored[dcmread(f).SOPInstanceUID] for f in done.sent} == {
        content(f) for f in done.sent
    }


def test_send_tells_of_a_lost_connection(tiny):
    with (
        Archive(break_after=2).serve() as node,
        pytest.raises(NetworkError, match="connection to archive was lost"),
    ):
        network.send(node, tiny)


def test_send_is_cancelled_by_progress(tiny):
    archive = Archive()
    with archive.serve() as node:
        with pytest.raises(Stop):
            network.send(node, tiny, progress=stopping_at("2 of"))
        assert archive.ended.wait(5)
    assert 2 <= len(archive.stored) <= 12


def test_commitment_is_reported_to_our_server(tiny, tmp_path):
    archive = Archive()
    with archive.serve() as node, StorageServer(Inbox(tmp_path), port=0) as server:
        archive.report_to, archive.move_title = ("127.0.0.1", server.port), "HILUM"
        network.send(node, tiny[:2])
        result = network.commit(node, tiny[:3], server)
    assert result.kept == tuple(dcmread(f).SOPInstanceUID for f in tiny[:2])
    assert result.failed == ((dcmread(tiny[2]).SOPInstanceUID, "the node does not have it"),)


def test_commitment_without_a_result_ends(tiny):
    with Archive().serve() as node, pytest.raises(NetworkError, match="silent for"):
        network.commit(replace(node, timeout_s=0.3), tiny[:1])


def test_a_wrong_ae_title_is_named():
    with (
        Archive().serve() as node,
        pytest.raises(NetworkError, match="does not know the AE title WRONG"),
    ):
        network.echo(replace(node, ae_title="WRONG"))


def test_an_unknown_caller_is_told_so():
    with (
        Archive().serve(require_calling_aet=["FRIEND"]) as node,
        pytest.raises(NetworkError, match="does not know us as HILUM"),
    ):
        network.echo(node)


def test_a_full_peer_refuses():
    with (
        Archive().serve(maximum_associations=1) as node,
        associate(node, [build_context(Verification)], lambda: None),
        pytest.raises(NetworkError, match="too many connections"),
    ):
        network.echo(node)


def test_a_missing_service_is_named(tiny, tmp_path):
    with (
        Archive(tiny, offers=("echo", "find")).serve() as node,
        pytest.raises(NetworkError, match="no presentation context for C-GET"),
    ):
        network.fetch(node, "1.2", "", Inbox(tmp_path))
    with (
        Archive(tiny, offers=("echo",)).serve() as node,
        pytest.raises(NetworkError, match="no presentation context"),
    ):
        network.find_studies(node, StudyQuery())


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkError, match=f"nothing listens at 127.0.0.1:{port}"):
        network.echo(Node("gone", "127.0.0.1", port, "ANY"))


def test_a_host_that_does_not_exist():
    with pytest.raises(NetworkError, match="is not known"):
        network.echo(Node("gone", "no-such-host.invalid", 104, "ANY"))


def test_a_peer_that_never_answers_ends_by_time_out_or_by_cancel():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node = Node("mute", "127.0.0.1", listener.getsockname()[1], "ANY", timeout_s=0.3)
        with pytest.raises(NetworkError, match="without an answer"):
            network.echo(node)
        start_s = time.monotonic()
        with pytest.raises(Stop):
            network.echo(replace(node, timeout_s=30.0), progress=stopping_at("asking"))
        assert time.monotonic() - start_s < 10


@pytest.fixture
def server(tmp_path):
    inbox = Inbox(tmp_path / "in", cap_bytes=100_000)
    with StorageServer(inbox, ae_title="PLANNER", port=0, accepts=["FRIEND"]) as running:
        yield running


def open_line(server, classes=(CTImageStorage, Verification), called="PLANNER"):
    ae = make_ae("FRIEND", 10.0)
    for uid in classes:
        ae.add_requested_context(uid)
    link = ae.associate("127.0.0.1", server.port, ae_title=called)
    assert link.is_established
    return link


def test_the_server_knows_its_name_and_its_friends(server):
    node = Node("own", "127.0.0.1", server.port, "PLANNER", "FRIEND")
    network.echo(node)
    with pytest.raises(NetworkError, match="does not know the AE title"):
        network.echo(replace(node, ae_title="OTHER"))
    with pytest.raises(NetworkError, match="does not know us as STRANGER"):
        network.echo(replace(node, own_ae_title="STRANGER"))


def test_a_transfer_cut_in_the_middle_leaves_nothing(server):
    closed = threading.Event()
    server._server.bind(evt.EVT_CONN_CLOSE, lambda event: closed.set())
    link = open_line(server)
    link.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, 5000) + b"\0" * 800)
    link.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    assert closed.wait(10)
    assert not server.inbox.folder.exists()
    network.echo(Node("own", "127.0.0.1", server.port, "PLANNER", "FRIEND"))


def test_a_claim_of_a_huge_pdu_is_refused(server):
    link = open_line(server)
    link.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, 0xFFFFFFF0) + b"\0" * 100)
    link.join(10)
    assert not link.is_alive()
    network.echo(Node("own", "127.0.0.1", server.port, "PLANNER", "FRIEND"))


def test_an_instance_over_the_cap_is_refused_before_it_is_whole(server, tiny):
    data = dcmread(tiny[0])
    data.PixelData = bytes(3_000_000)
    link = open_line(server)
    status = link.send_c_store(data)
    assert "Status" not in status
    assert server.inbox.count == 0
    link.join(10)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_uid_cannot_name_another_folder(server, tiny):
    link = open_line(server)
    data = dcmread(tiny[0])
    for uid in ("../../escape", "/etc/escape", ".1.2", ".."):
        data.SOPInstanceUID = uid
        status = link.send_c_store(data)
        assert status.Status == 0xC000
    link.release()
    assert not server.inbox.folder.exists()
    assert len(server.inbox.refusals) == 4


def test_the_same_uid_with_other_content_is_refused_and_told(server, tiny):
    data = dcmread(tiny[0])
    link = open_line(server)
    assert link.send_c_store(data).Status == 0x0000
    (file,) = server.inbox.folder.iterdir()
    before = file.read_bytes()
    assert link.send_c_store(data).Status == 0x0000
    data.PatientName = "Someone^Else"
    status = link.send_c_store(data)
    link.release()
    assert status.Status == 0xC000
    assert file.read_bytes() == before
    assert (len(server.inbox.files), len(server.inbox.known)) == (1, 1)


def test_a_full_disk_refuses_with_the_right_status(tiny, tmp_path):
    inbox = Inbox(tmp_path / "in", reserve_bytes=1 << 60)
    with StorageServer(inbox, ae_title="PLANNER", port=0) as server:
        done = network.send(Node("own", "127.0.0.1", server.port, "PLANNER"), tiny[:2])
    assert all("0xA700: the disk of" in reason for _, reason in done.failed)
    assert len(done.failed) == 2
    assert only_whole_files(inbox.folder) == 0


def test_two_servers_cannot_share_a_port(server, tmp_path):
    with pytest.raises(NetworkError, match="cannot listen"):
        StorageServer(Inbox(tmp_path), port=server.port).__enter__()


def test_the_server_listens_on_loopback_only(server):
    assert server._server.socket.getsockname()[0] == "127.0.0.1"


def test_a_plain_syntax_is_asked_for_before_a_lossy_one(server):
    ae = make_ae("FRIEND", 10.0)
    offered = [JPEGBaseline8Bit, ImplicitVRLittleEndian, ExplicitVRLittleEndian]
    ae.add_requested_context(CTImageStorage, offered)
    link = ae.associate("127.0.0.1", server.port, ae_title="PLANNER")
    assert link.accepted_contexts[0].transfer_syntax == [ExplicitVRLittleEndian]
    link.release()
