import json
import stat

import pytest

from workstation.dicom.nodes import (
    NetworkError,
    Node,
    Tls,
    find_node,
    read_nodes,
    with_node,
    write_nodes,
)

PACS = Node("pacs", "pacs.example", 11112, "ARCHIVE", tls=Tls("ca.pem"), username="joerg")
WEB = Node("web", dicomweb_url="https://pacs.example/dicom-web", password_variable="PACS_PASSWORD")


def test_nodes_survive_the_file(tmp_path):
    path = tmp_path / "deep" / "nodes.json"
    write_nodes(path, [PACS, WEB])
    assert read_nodes(path) == (PACS, WEB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["nodes.json"]


def test_no_file_holds_no_nodes(tmp_path):
    assert read_nodes(tmp_path / "nodes.json") == ()


def test_a_node_replaces_the_one_of_its_name():
    newer = Node("pacs", "other.example", 104, "OTHER")
    assert with_node((PACS, WEB), newer) == (newer, WEB)
    assert with_node((PACS,), WEB) == (PACS, WEB)
    assert find_node((PACS, WEB), "web") is WEB
    with pytest.raises(NetworkError, match="no node 'x'") as caught:
        find_node((PACS, WEB), "x")
    assert "pacs, web" in caught.value.remedy


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"name": "a", "host": "b", "ae_title": "C", "password": "secret"}, "password"),
        ({"name": "a", "host": "b", "ae_title": "C", "port": "many"}, "port"),
        ({"name": "a"}, "neither a host nor"),
    ],
)
def test_a_damaged_file_is_told_without_its_values(tmp_path, record, words):
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps({"schema": 1, "nodes": [record]}))
    with pytest.raises(NetworkError, match=words) as caught:
        read_nodes(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9, "nodes": []}', "\x00"])
def test_what_is_no_list_of_nodes_is_refused(tmp_path, text):
    path = tmp_path / "nodes.json"
    path.write_text(text)
    with pytest.raises(NetworkError, match=r"no list of nodes|newer Hilum"):
        read_nodes(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"ae_title": ""},
        {"ae_title": "SEVENTEEN LETTERS"},
        {"ae_title": "BACK\\SLASH"},
        {"own_ae_title": "Ärzte"},
        {"port": 0},
        {"port": 70000},
        {"timeout_s": 0.0},
        {"dicomweb_url": "ftp://pacs/x"},
        {"dicomweb_url": "https://user:secret@pacs/x"},
    ],
)
def test_a_node_that_cannot_be_is_refused(wrong):
    good = {"name": "a", "host": "b", "ae_title": "C"}
    Node(**good)
    with pytest.raises(ValueError, match=r".") as caught:
        Node(**(good | wrong))
    assert "secret" not in str(caught.value)


def test_the_route_is_dicomweb_where_there_is_one():
    both = Node("both", "host", 104, "AE", dicomweb_url="http://host/dicom-web")
    assert (both.route(), both.route("dimse")) == ("web", "dimse")
    assert PACS.route() == "dimse"
    with pytest.raises(NetworkError, match="no DICOMweb address"):
        PACS.route("web")
    with pytest.raises(NetworkError, match="no DICOM host"):
        WEB.route("dimse")


def test_tls_files_that_cannot_be_used_are_told(tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate")
    for tls in (Tls(str(tmp_path / "none.pem")), Tls(str(tmp_path / "bad.pem"))):
        with pytest.raises(NetworkError, match="TLS files cannot be used"):
            tls.client_context()
    with pytest.raises(NetworkError, match="certificate is needed"):
        Tls().server_context()
