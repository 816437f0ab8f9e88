"""Processes of our own do not run what lies in the folder that a person works in."""

import pytest

from workstation import picture
from workstation.dicom.worker import Worker


@pytest.fixture
def strangers_folder(tmp_path, monkeypatch):
    """A working folder with a file that hides a module of Python itself."""
    (tmp_path / "numbers.py").write_text("open('ran', 'w').close(); raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_reader_of_headers_runs_nothing_of_it(strangers_folder):
    worker = Worker("workstation.dicom.header_worker")
    try:
        worker.await_ready()
    finally:
        worker.close()
    assert not (strangers_folder / "ran").exists()


def test_the_probe_of_graphics_runs_nothing_of_it(strangers_folder):
    picture.probe.cache_clear()
    picture.probe()
    picture.probe.cache_clear()
    assert not (strangers_folder / "ran").exists()
