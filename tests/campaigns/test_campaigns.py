"""A short run of each campaign; the long ones are started by hand."""

import ast
import json
import subprocess
import sys

import numpy as np
import pytest

from segmentation.volume import Volume
from tests.campaigns import semantic
from tests.workstation.dicom_phantom import only, positions, write
from workstation.dicom.files import read


@pytest.mark.filterwarnings("ignore")  # the library warns while it writes the damage
def test_damaged_headers_are_never_silently_wrong(tmp_path):
    verdicts = []
    for seed in range(100):
        folder = tmp_path / str(seed)
        folder.mkdir()
        verdicts.append((seed, *semantic.judge(folder, seed)))
    assert [v for v in verdicts if v[3].outcome == "WRONG"] == []
    assert {v[3].outcome for v in verdicts} == {"right", "flagged", "refused"}


def test_the_judge_sees_a_shift_of_half_a_voxel(tmp_path):
    write(tmp_path, positions())
    volume = read(only(tmp_path))
    assert semantic._against_truth(volume, tilted=False) == ""
    moved = np.asarray(volume.array + 3 * 0.5 * 1.25).astype(np.float32)
    assert "nothing says so" in semantic._against_truth(Volume(moved, volume.geometry), False)


@pytest.mark.timeout(120)
def test_damaged_bytes_end_no_process_but_a_worker():
    """In a process of its own: a child's peak memory counts what its parent held at the fork."""
    command = [sys.executable, "-m", "tests.campaigns", "bytes", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *batches, record = done.stdout.splitlines()
    assert sum(ast.literal_eval(batches[-1].partition("}")[0] + "}").values()) >= 40
    assert 0 < json.loads(record)["largest_worker_mb"] < 2048
