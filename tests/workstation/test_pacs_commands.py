import json
import os
import signal
import threading

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.workstation import dicom_phantom
from tests.workstation.orthanc import free_port
from tests.workstation.pacs_peer import Archive, content
from workstation.__main__ import main
from workstation.dicom import network


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return dicom_phantom.write(tmp_path_factory.mktemp("tiny"), dicom_phantom.positions())


@pytest.fixture
def call(capsys, tmp_path):
    def run(action, *arguments):
        try:
            code = main(["pacs", "--nodes", str(tmp_path / "n.json"), action, *map(str, arguments)])
        except SystemExit as leaving:
            code = leaving.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture
def served(call, tiny):
    """An archive with the tiny series that the settings file calls pacs."""
    archive = Archive(tiny)
    with archive.serve() as node:
        code, _, err = call(
            "add", "pacs", "--host", node.host, "--port", node.port, "--aet=ARCHIVE"
        )
        assert code == 0, err
        yield archive


def test_nodes_lists_what_add_added(call):
    assert json.loads(call("nodes", "--json")[1])["nodes"] == []
    code, _, _ = call("add", "web", "--url", "https://pacs.example/dicom-web", "--user", "jo")
    (node,) = json.loads(call("nodes", "--json")[1])["nodes"]
    assert code == 0
    assert (node["name"], node["tls"]["verify"]) == ("web", True)
    assert not [key for key in node if key == "password"]
    assert "https://pacs.example/dicom-web" in call("nodes")[1]


def test_echo_and_find(call, served):
    assert json.loads(call("echo", "pacs", "--json")[1])["route"] == "dimse"
    code, out, _ = call("find", "pacs", "--patient-id", "P1", "--json")
    (study,) = json.loads(out)["studies"]
    assert (code, study["study_uid"]) == (0, "1.2")
    (series,) = json.loads(call("find", "pacs", "--study", "1.2", "--json")[1])["series"]
    assert (series["series_uid"], series["instance_count"]) == ("1.2.3", 6)
    assert "1.2.3" in call("find", "pacs", "--study", "1.2")[1]
    assert "no study" in call("find", "pacs", "--patient-id", "P2")[1]


def test_get_ends_with_the_scan_of_what_came(call, served, tiny, tmp_path):
    code, out, err = call("get", "pacs", tmp_path / "in", "--study", "1.2", "--json")
    document = json.loads(out)
    assert code == 0, err
    assert (document["received"], document["known"]) == (6, 0)
    (volume,) = document["volumes"]
    assert (volume["files"], volume["status"]) == (6, "ok")
    assert {content(f) for f in (tmp_path / "in").iterdir()} == {content(f) for f in tiny}
    assert "6 were here already" in call("get", "pacs", tmp_path / "in", "--study", "1.2")[1]


def test_get_by_move(call, served, tmp_path):
    port = free_port()
    served.move_to, served.move_title = ("127.0.0.1", port), "HILUM"
    folder = tmp_path / "in"
    code, _, err = call("get", "pacs", folder, "--study", "1.2", "--move", "--port", port)
    assert code == 0, err
    assert len(list(folder.iterdir())) == 6


@pytest.mark.parametrize("way", [(), ("--move", "--port")])
def test_preview_draws_the_middle_image(call, served, tmp_path, way):
    port = free_port()
    served.move_to, served.move_title = ("127.0.0.1", port), "HILUM"
    for data in served.instances:
        data.WindowCenter, data.WindowWidth = 300, 120
    file = tmp_path / "one.png"
    way = (*way, port) if way else ()
    uids = ("--study", "1.2", "--series", "1.2.3")
    code, out, err = call("preview", "pacs", file, *uids, *way, "--json")
    assert code == 0, err
    assert json.loads(out) == {"file": str(file), "image": 4, "images": 6}
    with Image.open(file) as picture:
        assert picture.size == (14, 6)  # 14 x 10 pixels of 1.25 x 0.75 mm
        pixels = np.asarray(picture)
    assert pixels[0, 0] < pixels[0, -1] < pixels[-1, -1]


def test_a_preview_needs_an_image(call, served, tmp_path):
    for data in served.instances:
        del data.Rows, data.PixelData
    code, _, err = call("preview", "pacs", tmp_path / "x.png", "--study=1.2", "--series=1.2.3")
    assert (code, "holds no image" in err) == (1, True)


def test_send_and_commit(call, served, tiny):
    port = free_port()
    served.report_to, served.move_title = ("127.0.0.1", port), "HILUM"
    code, out, err = call("send", "pacs", tiny[0].parent, "--commit", "--port", port, "--json")
    assert code == 0, err
    assert json.loads(out) == {"sent": 6, "failed": [], "committed": 6, "not_committed": []}
    assert set(served.stored.values()) == {content(f) for f in tiny}


def test_send_with_a_failure_is_a_problem(call, served, tiny):
    served.unknown = {dcmread(tiny[1]).SOPInstanceUID}
    code, out, _ = call("send", "pacs", *tiny, "--json")
    assert code == 1
    assert [f["path"] for f in json.loads(out)["failed"]] == [str(tiny[1])]


def test_listen_receives_until_interrupted(call, served, tiny, tmp_path):
    port = free_port()

    def send_then_interrupt():
        node = network.Node("own", "127.0.0.1", port, "HILUM", "ARCHIVE")
        while True:
            try:
                network.send(node, tiny)
                break
            except network.NetworkError:
                continue  # it does not listen yet
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send_then_interrupt)
    sender.start()
    code, out, err = call("listen", tmp_path / "in", "--port", port, "--json")
    sender.join()
    assert code == 0, err
    assert json.loads(out)["received"] == 6
    assert {content(f) for f in (tmp_path / "in").iterdir()} == {content(f) for f in tiny}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["echo", "nowhere"], "no node 'nowhere'"),
        (["add", "x"], "neither a host nor"),
        (["add", "x", "--host", "h", "--aet", "A", "--ca-file", "/none.pem"], "TLS files"),
        (["listen", "folder"], "obody would be let in"),
    ],
)
def test_a_problem_is_one_sentence_and_a_remedy(call, arguments, words):
    code, out, err = call(*arguments)
    assert (code, out) == (1, "")
    assert words in err
    assert len(err.splitlines()) <= 2


@pytest.mark.parametrize("arguments", [["nonsense"], ["find", "x", "--from", "yesterday"]])
def test_wrong_usage_exits_with_2(call, arguments):
    assert call(*arguments)[0] == 2
