import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from tests.workstation.dicom_phantom import positions, write
from workstation.dicom import scanning
from workstation.dicom.files import scan
from workstation.dicom.header_worker import header_from, header_record
from workstation.dicom.headers import read_header
from workstation.dicom.sources import Ignored, find_sources
from workstation.dicom.worker import Worker, WorkerLost


def a_mixed_folder(folder: Path) -> Path:
    """One series each uncompressed, compressed, deflated and damaged, and no DICOM at all."""
    write(folder / "plain", positions())
    write(folder / "rle", positions(2), series="1.2.4", edit=lambda d, k: d.compress(RLELossless))

    def deflated(data, k):
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    write(folder / "deflated", positions(3), series="1.2.5", edit=deflated)
    (cut,) = write(folder / "cut", positions(1), series="1.2.6")
    cut.write_bytes(cut.read_bytes()[:-20])
    (folder / "notes.txt").write_text("no image at all")
    (folder / "empty").touch()
    return folder


def test_workers_and_the_window_read_the_same(tmp_path, monkeypatch):
    folder = a_mixed_folder(tmp_path)
    sources, _ = find_sources([folder])
    here = [read_header(source) for source in sources]
    monkeypatch.setattr(scanning, "FEW", 0)
    monkeypatch.setattr(scanning, "BATCH", 3)
    told: list[float] = []
    there = scanning.read_headers(sources, lambda fraction, text="": told.append(fraction))
    assert there == here
    assert sum(isinstance(found, Ignored) for found in there) == 2
    assert told
    assert told == sorted(told)


def test_slices_survive_the_way_between_processes(tmp_path):
    (path,) = write(tmp_path, positions(1))
    ((source,), _) = find_sources([path])
    (found,) = read_header(source)
    odd = replace(found, sop_uid='a"\u0000\udcff\n', thickness_mm=0.1 + 0.2, pixel_spacing_mm=None)
    known: dict[str, object] = {}
    for header in ([odd, found], Ignored("x", "why", True, "1.2")):
        line = json.dumps(header_record(header))
        assert header_from(json.loads(line), source, known) == header
    first, second = header_from(json.loads(json.dumps(header_record([odd, found]))), source, known)
    assert first.identity is second.identity


def test_the_head_of_few_files_needs_no_worker(tmp_path, monkeypatch):
    write(tmp_path, positions())
    monkeypatch.setattr(scanning, "Worker", None)
    assert scan([tmp_path]).volumes[0].status == "ok"


BAD_READER = """
import json, os, sys, time
print("{{}}", flush=True)
for line in sys.stdin:
    for source in json.loads(line)["sources"]:
        if source["path"].endswith("IM002"):
            {deed}
        print(json.dumps({{"ignored": {{"path": source["path"], "reason": "seen"}}}}), flush=True)
"""


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize(
    "deed", ["os.abort()", "time.sleep(60)", "while True: pass", "print('rubbish')", "print('[]')"]
)
def test_a_file_that_ends_its_worker_costs_only_itself(tmp_path, monkeypatch, deed, batch):
    paths = write(tmp_path / "in", positions())
    (tmp_path / "bad_reader.py").write_text(BAD_READER.format(deed=deed))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(scanning, "MODULE", "bad_reader")
    monkeypatch.setattr(scanning, "FEW", 0)
    monkeypatch.setattr(scanning, "BATCH", batch)
    monkeypatch.setattr(scanning, "TIMEOUT_S", 0.3)
    sources, _ = find_sources([tmp_path / "in"])
    found = scanning.read_headers(sources, lambda fraction, text="": None)
    assert [item.path for item in found] == [str(p) for p in paths]
    assert [item.reason == "seen" for item in found] == [p.name != "IM002" for p in paths]
    assert found[2].damaged


def test_a_reader_that_does_not_start_is_told(tmp_path, monkeypatch):
    write(tmp_path, positions(1))
    monkeypatch.setattr(scanning, "MODULE", "workstation.no_such_module")
    monkeypatch.setattr(scanning, "FEW", 0)
    with pytest.raises(ValueError, match="does not start"):
        scan([tmp_path])


def test_cancel_ends_the_workers(tmp_path, monkeypatch):
    write(tmp_path, positions())
    made: list[Worker] = []

    class Watched(Worker):
        def __init__(self, module):
            super().__init__(module)
            made.append(self)

    def cancel(fraction, text=""):
        if made:
            raise KeyboardInterrupt

    monkeypatch.setattr(scanning, "FEW", 0)
    monkeypatch.setattr(scanning, "Worker", Watched)
    with pytest.raises(KeyboardInterrupt):
        scan([tmp_path], cancel)
    with pytest.raises((WorkerLost, ValueError)):  # it is gone, its pipes are closed
        made[0].ask({})
