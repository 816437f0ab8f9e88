import socket
import time
from dataclasses import replace
from datetime import date

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from tests.workstation import dicom_phantom
from tests.workstation.web_peer import WebArchive
from workstation.dicom import multipart, network
from workstation.dicom.inbox import Inbox
from workstation.dicom.network import NetworkError, Node, SeriesQuery, StudyQuery
from workstation.dicom.nodes import Tls


class Stop(Exception):
    pass


def stopping_at(text):
    def progress(fraction, message=""):
        if text in message:
            raise Stop

    return progress


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
    data.PatientName = "Müller^Jörg"
    data.StudyDate = "20240229"


def contents(paths):
    return {path.read_bytes() for path in paths}


def test_echo_and_find(tiny):
    archive = WebArchive(tiny)
    with archive.serve() as node:
        assert network.echo(node) == "web"
        (study,) = network.find_studies(node, StudyQuery(patient_name="Müller^Jörg"))
        assert network.find_studies(node, StudyQuery(patient_name="Nobody")) == ()
        series = network.find_series(node, SeriesQuery("1.2"))
    assert (study.study_uid, study.patient_name) == ("1.2", "Müller^Jörg")
    assert study.study_date == date(2024, 2, 29)
    assert [(s.series_uid, s.modality, s.instance_count) for s in series] == [
        ("1.2.3", "CT", 6),
        ("1.2.4", "MR", 6),
    ]
    assert ("includefield", "NumberOfStudyRelatedInstances") in archive.queries[1]


def test_find_refuses_more_than_the_limit(tiny):
    with WebArchive(tiny).serve() as node, pytest.raises(NetworkError, match="more than 1 match"):
        network.find_series(node, SeriesQuery("1.2", limit=1))


def test_get_writes_the_very_bytes(tiny, tmp_path):
    with WebArchive(tiny).serve() as node:
        whole = network.fetch(node, "1.2", "", Inbox(tmp_path / "study"))
        one = network.fetch(node, "1.2", "1.2.4", Inbox(tmp_path / "series"))
        again = network.fetch(node, "1.2", "", Inbox(tmp_path / "study"))
    assert contents(whole.files) == contents(tiny)
    assert contents(one.files) == contents(tiny[6:])
    assert (len(again.files), len(again.known)) == (0, 12)


def test_get_that_is_cut_off_keeps_whole_files_only(tiny, tmp_path):
    with WebArchive(tiny, cut_at=5000).serve() as node, pytest.raises(NetworkError, match="lost"):
        network.fetch(node, "1.2", "", Inbox(tmp_path))
    kept = list(tmp_path.iterdir())
    assert 0 < len(kept) < 12
    assert contents(kept) < contents(tiny)


def test_get_is_cancelled_by_progress(tiny, tmp_path):
    with WebArchive(tiny).serve() as node, pytest.raises(Stop):
        network.fetch(node, "1.2", "", Inbox(tmp_path), progress=stopping_at(" of 12"))
    assert contents(tmp_path.iterdir()) <= contents(tiny)


def test_get_of_what_is_not_there(tiny, tmp_path):
    with WebArchive(tiny).serve() as node, pytest.raises(NetworkError, match="does not have"):
        network.fetch(node, "9.9", "", Inbox(tmp_path))


def test_get_refuses_what_is_too_big(tiny, tmp_path):
    with WebArchive(tiny).serve() as node, pytest.raises(NetworkError, match="larger than"):
        network.fetch(node, "1.2", "", Inbox(tmp_path, cap_bytes=300))
    assert list(tmp_path.iterdir()) == []


def test_send_delivers_the_very_bytes(tiny):
    archive = WebArchive()
    seen = []
    with archive.serve() as node:
        done = network.send(node, tiny, progress=lambda f, m="": seen.append(f))
    assert (done.sent, done.failed) == (tuple(tiny), ())
    assert set(archive.received.values()) == contents(tiny)
    assert seen == sorted(seen)


@pytest.mark.parametrize("refused", [1, 12])
def test_send_lists_what_was_refused(tiny, tmp_path, refused):
    archive = WebArchive()
    archive.unknown = {dcmread(path).SOPInstanceUID for path in tiny[:refused]}
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    with archive.serve() as node:
        done = network.send(node, [text, *tiny])
    assert done.sent == tuple(tiny[refused:])
    assert [path for path, _ in done.failed] == [text, *tiny[:refused]]
    assert "0xA700" in done.failed[1][1]


def test_the_password_comes_from_the_environment_or_a_person(tiny, monkeypatch):
    with WebArchive(tiny, password="gehéim").serve() as node:
        known = replace(node, username="jörg", password_variable="HILUM_TEST_PASSWORD")
        with pytest.raises(NetworkError, match="no password") as caught:
            network.echo(known)
        assert "HILUM_TEST_PASSWORD" in caught.value.remedy
        network.echo(known, ask=lambda question: "gehéim")
        monkeypatch.setenv("HILUM_TEST_PASSWORD", "gehéim")
        network.echo(known)
        monkeypatch.setenv("HILUM_TEST_PASSWORD", "wrong")
        with pytest.raises(NetworkError, match="user name or password"):
            network.echo(known)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (302, "points to another address: http://elsewhere"),
        (403, "does not allow"),
        (404, "does not have this"),
        (500, "failed .HTTP 500"),
    ],
)
def test_a_bad_status_is_told(status, words):
    with WebArchive(status=status).serve() as node, pytest.raises(NetworkError, match=words):
        network.echo(node)


@pytest.mark.parametrize("text", [b"<html>", b"{", b'[{"00100010": 5}]', b"[3]"])
def test_an_answer_that_is_no_dicom_json_is_told(text):
    with WebArchive(text=text).serve() as node, pytest.raises(NetworkError, match="DICOM JSON"):
        network.find_studies(node, StudyQuery())


def test_an_environment_proxy_is_not_used(tiny, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with WebArchive(tiny).serve() as node:
        network.echo(node)


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkError, match="cannot be reached"):
        network.echo(Node("gone", dicomweb_url=f"http://127.0.0.1:{port}/dicom-web"))


def test_a_host_that_does_not_exist():
    with pytest.raises(NetworkError, match="is not known"):
        network.echo(Node("gone", dicomweb_url="http://no-such-host.invalid/dicom-web"))


def test_a_server_that_never_answers_ends_by_time_out_or_by_cancel():
    with WebArchive(mute=True).serve() as node:
        with pytest.raises(NetworkError, match=r"silent for 0\.3 s"):
            network.echo(replace(node, timeout_s=0.3))
        start_s = time.monotonic()
        with pytest.raises(Stop):
            network.echo(replace(node, timeout_s=30.0), progress=stopping_at("asking"))
        assert time.monotonic() - start_s < 10


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_tls(tiny, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    issued.write_to_path(tmp_path / "server.pem")
    tls = Tls(certificate=str(tmp_path / "server.pem")).server_context()
    with WebArchive(tiny).serve(tls) as node:
        with pytest.raises(NetworkError, match="TLS with web failed"):
            network.echo(node)
        network.echo(replace(node, tls=Tls(verify=False)))
        trusting = replace(node, tls=Tls(str(tmp_path / "ca.pem")))
        assert len(network.fetch(trusting, "1.2", "", Inbox(tmp_path / "in")).files) == 12


@given(
    bodies=st.lists(st.binary(max_size=60), max_size=5),
    sizes=st.lists(st.integers(1, 30), min_size=1),
    data=st.data(),
)
def test_multipart_is_split_the_same_however_it_arrives(bodies, sizes, data):
    boundary = b"b0"
    text = b"".join(multipart.framing(boundary, last=False) + body for body in bodies)
    text += multipart.framing(boundary, last=True)
    if any(b"\r\n--b0" in b"\r\n" + body for body in bodies):
        return
    pieces = []
    at = n = 0
    while at < len(text):
        pieces.append(text[at : at + sizes[n % len(sizes)]])
        at += len(pieces[-1])
        n += 1
    assert [b"".join(part) for part in multipart.parts(pieces, boundary)] == bodies
    cut = data.draw(st.integers(0, len(text) - 5))
    with pytest.raises(multipart.MultipartError, match="cut off"):
        [b"".join(part) for part in multipart.parts([text[:cut]], boundary)]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b"', b"a b"),
        ("Multipart/Related; BOUNDARY=x1; type=y", b"x1"),
        ("application/json", None),
        ("multipart/related", None),
    ],
)
def test_boundaries(header, found):
    if found is None:
        with pytest.raises(multipart.MultipartError):
            multipart.boundary_of(header)
    else:
        assert multipart.boundary_of(header) == found
