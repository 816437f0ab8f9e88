"""nnU-Net folders and TotalSegmentator run as programs; here small ones stand in for them."""

import json
import sys
import time
import types
from importlib import metadata

import numpy as np
import pytest

from segmentation import external_models
from segmentation.bundles import store
from segmentation.bundles.folder import BundleError
from segmentation.models import find_model, known_models, run_model
from segmentation.programs import ProgramFailed, run_program
from tests.segmentation.test_bundles import AXES, blobs

PREDICT = """
import sys, SimpleITK as sitk
from pathlib import Path
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert (Path(given["-m"]) / "plans.json").is_file()
assert given["-f"] == "0"
image = sitk.ReadImage(f"{given['-i']}/case_0000.nii.gz")
print("100%|#####|")
sitk.WriteImage(sitk.Cast(image > 100, sitk.sitkUInt8), f"{given['-o']}/case.nii.gz")
"""
TOTAL = """
import sys, SimpleITK as sitk
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
image = sitk.ReadImage(given["-i"])
sitk.WriteImage(sitk.Cast(image > 100, sitk.sitkUInt8) * 5, given["-o"])
"""


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))


@pytest.fixture
def stands_in(tmp_path, monkeypatch):
    """Makes a program that is found by name."""

    def make(name, code):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        return path

    return make


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "Dataset900_Organs" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"weights")
    (folder / "plans.json").write_text("{}")
    told = {
        "name": "Organs",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "spleen": 2},
        "file_ending": ".nii.gz",
        "licence": "CC-BY 4.0",
    }
    (folder / "dataset.json").write_text(json.dumps(told))
    return folder.parent


def test_a_folder_of_nnunet_is_a_model_that_asks_first(trained, stands_in):
    store.add_bundle(trained)
    (card,) = [e.card for e in known_models() if e.name == "Dataset900_Organs"]
    assert (card.kind, card.modality, card.channels) == ("nnU-Net", "CT", ("CT",))
    assert [label.name for label in card.labels.values()] == ["liver", "spleen"]
    assert card.licence == "CC-BY 4.0"
    volume = blobs(AXES["oblique"])
    with pytest.raises(BundleError, match="carries code"):
        run_model(volume, model=card.name)
    store.allow(card.name, code=True)
    with pytest.raises(BundleError, match="not installed"):
        run_model(volume, model=card.name)
    stands_in("nnUNetv2_predict_from_modelfolder", PREDICT)
    result = run_model(volume, model=card.name, weights_sha256=card.weights_sha256)
    assert np.array_equal(result.mask("liver"), volume.array > 100)
    assert result.geometry == volume.geometry


def test_regions_take_the_values_of_their_order():
    from segmentation.bundles.nnunet import described

    told = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3]},
        "regions_class_order": [1, 2],
    }
    formats = described(told)["network_data_format"]
    assert formats["inputs"]["image"]["modality"] == "MR"
    assert formats["outputs"]["pred"]["label_def"] == {
        "0": "background",
        "1": "whole",
        "2": "core",
    }


def test_totalsegmentator_runs_when_it_is_there(stands_in, monkeypatch):
    with pytest.raises(BundleError, match="not installed"):
        external_models.total_segmentator()
    stands_in("TotalSegmentator", TOTAL)
    monkeypatch.setattr(metadata, "version", lambda name: "2.9.0")
    table = types.ModuleType("totalsegmentator.map_to_binary")
    table.class_map = {"total": {1: "spleen", 5: "liver"}}
    monkeypatch.setitem(sys.modules, "totalsegmentator.map_to_binary", table)
    model = external_models.total_segmentator_fast()
    assert (model.card.version, model.card.name) == ("2.9.0", "totalsegmentator_fast")
    volume = blobs(AXES["flipped"])
    result = model.segment([volume], device="cpu")
    assert np.array_equal(result.mask("liver"), volume.array > 100)
    assert result.labels[5].code == "10200004"


def test_a_program_that_fails_says_why_and_one_that_is_stopped_ends(tmp_path):
    words = tmp_path / "said.txt"
    fails = [sys.executable, "-c", "raise SystemExit('no GPU here')"]
    with pytest.raises(ProgramFailed, match="no GPU here"):
        run_program(fails, words, lambda *_: None)

    def stop(fraction, message=""):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_program([sys.executable, "-c", "import time; time.sleep(60)"], words, stop)
    assert time.monotonic() - started < 1.0


def test_an_installed_model_is_found_by_name(trained):
    store.add_bundle(trained, name="organs")
    assert find_model("organs").card.title == "Organs"
