"""Models by name run in a process of their own: with progress, refusals, and an end at once."""

import json
import time

import numpy as np
import pytest

from segmentation import models
from segmentation.bundles import process, store, worker
from segmentation.bundles.folder import BundleError
from segmentation.contract import FrameMismatch
from segmentation.models import find_model, fixed_params, known_models, run_model
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from tests.segmentation import zoo
from tests.segmentation.made_bundles import give_weights, threshold_bundle
from tests.segmentation.test_bundles import AXES, blobs, dice

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def added(tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))
    return lambda folder: store.add_bundle(folder)


class Stopped(Exception):
    pass


def test_a_model_runs_by_name_in_its_own_process(added, tmp_path):
    added(threshold_bundle(tmp_path / "half"))
    volume = blobs(AXES["oblique, permuted"])
    card = find_model("half").card
    heard = []
    result = run_model(
        volume, **fixed_params(card), device="cpu", progress=lambda f, m="": heard.append((f, m))
    )
    assert dice(result.mask("structure_1"), volume.array > 100) > 0.95
    assert result.geometry == volume.geometry
    assert [f for f, _ in heard] == sorted(f for f, _ in heard)
    assert any("window" in message for _, message in heard)
    assert "model_proposal" in {finding.code for finding in result.findings}
    assert "weights_not_fixed" not in {finding.code for finding in result.findings}


def test_a_stop_is_obeyed_within_a_second(added, tmp_path):
    added(threshold_bundle(tmp_path / "half"))
    asked = []

    def progress(fraction, message=""):
        if message.startswith("reading"):
            asked.append(time.monotonic())
            raise Stopped

    with pytest.raises(Stopped):
        run_model(blobs(), model="half", progress=progress)
    assert time.monotonic() - asked[0] < 1.0


@pytest.mark.parametrize(
    ("module", "reason"), [("this", "rubbish"), ("not.there", "No module named")]
)
def test_a_process_that_ends_without_an_answer_is_told(
    added, tmp_path, monkeypatch, module, reason
):
    added(threshold_bundle(tmp_path / "half"))
    monkeypatch.setattr(process, "WORKER", module)
    with pytest.raises(process.ProcessEnded, match=reason):
        run_model(blobs(), model="half")


def test_too_little_memory_is_told_before_the_network_starts(added, tmp_path):
    bundle = added(threshold_bundle(tmp_path / "half"))
    volume, answers = blobs(), []
    request = {
        "bundle": str(bundle.folder),
        "trust": {"code": False, "pickles": False},
        "device": "cpu",
        "estimate_only": False,
        "memory_bytes": 10**8,
        "geometry": volume.geometry.to_json(),
        "quantities": ["HU"],
    }
    worker._work(tmp_path, request, answers.append)
    assert answers[-1]["memory"]
    assert "GB are free" in answers[-1]["error"]
    assert isinstance(process._error(answers[-1]), MemoryError)
    assert answers[-2]["estimate"]["memory_bytes"] > 10**8
    assert not (tmp_path / "labels.npy").exists()


def test_an_estimate_grows_with_the_image_and_names_time(added, tmp_path):
    folder = zoo.spleen(tmp_path / "spleen")
    give_weights(folder)
    bundle = added(folder)
    costs = []
    for size in ((60, 48, 22), (240, 192, 88)):
        answers = []
        request = {
            "bundle": str(bundle.folder),
            "trust": {"code": False, "pickles": False},
            "device": "cpu",
            "estimate_only": True,
            "geometry": blobs(size=(4, 4, 4)).geometry.to_json() | {"size": size},
            "quantities": ["HU"],
        }
        worker._work(tmp_path, request, answers.append)
        costs.append(answers[-1]["estimate"])
    small, large = costs
    assert large["windows"] > 20 * small["windows"]
    assert large["seconds"] > 5 * small["seconds"] > 0
    assert large["memory_bytes"] > small["memory_bytes"] + 10**8


def test_what_does_not_suit_is_refused_before_anything_starts(added, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "run_bundle", lambda *_: pytest.fail("it started"))
    added(threshold_bundle(tmp_path / "ct"))
    added(threshold_bundle(tmp_path / "mr", modality="MR"))
    brats = zoo.brats(tmp_path / "brats")
    (brats / "models" / "model.pt").write_bytes(b"weights")
    added(brats)
    code = zoo.unest(tmp_path / "code")
    (code / "models" / "model.pt").write_bytes(b"weights")
    added(code)
    ct = blobs()
    air = Volume(ct.array - 500, ct.geometry)
    mr = Volume(np.abs(ct.array), ct.geometry, "MR intensity")
    positive = Volume(np.abs(ct.array), ct.geometry)
    other = Volume(mr.array, ImageGeometry(**{**vars_of(mr.geometry), "frame_uid": "9"}), "MR")
    for name, volumes, reason in (
        ("ct", [mr], "needs a CT, but the image holds MR intensity"),
        ("ct", [positive], "no value below 0 HU"),
        ("mr", [air], "needs an MR"),
        ("ct", [ct, ct], r"takes 1 image \(image\), not 2"),
        ("brats", [mr], r"takes 4 images \(T1c, T1, T2, FLAIR\), not 1"),
        ("code", [ct], "carries code"),
        ("nothing", [ct], "there is no model 'nothing'"),
    ):
        with pytest.raises(BundleError, match=reason):
            run_model(*volumes, model=name)
    with pytest.raises(FrameMismatch):
        run_model(mr, mr, mr, other, model="brats")
    with pytest.raises(BundleError, match="made with weights"):
        run_model(ct, model="ct", weights_sha256="0" * 64)
    with pytest.raises(BundleError, match="made with version"):
        run_model(ct, model="ct", version="9")


def vars_of(geometry):
    return {name: getattr(geometry, name) for name in geometry.__dataclass_fields__}


def test_images_of_other_grids_come_onto_the_first(added, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(models, "run_bundle", lambda *given: seen.append(given[1]))
    brats = zoo.brats(tmp_path / "brats")
    (brats / "models" / "model.pt").write_bytes(b"weights")
    added(brats)
    fine, coarse = (
        Volume(np.abs(v.array), v.geometry, "MR intensity")
        for v in (blobs(), blobs(size=(30, 24, 11), spacing_mm=(1.6, 2.2, 5.0)))
    )
    run_model(fine, coarse, coarse, fine, model="brats", weights_sha256=weights_of("brats"))
    assert [v.geometry for v in seen[0]] == [fine.geometry] * 4


def weights_of(name):
    return find_model(name).card.weights_sha256


class _Entry:
    """An entry point as an installed package would have."""

    def __init__(self, name, made):
        self.name, self.made = name, made

    def load(self):
        return self.made


class _Plugged:
    """A model of another package."""

    card = models.ModelCard(
        "plugged", "Plugged", "1", "a package", "CT", ("image",), {1: Label("all")}, "", "", "", ""
    )

    def segment(self, volumes, *, device, progress):
        return LabelMap(np.ones(volumes[0].geometry.shape, np.uint8), volumes[0].geometry)


def test_other_packages_bring_models_and_broken_ones_stop_nothing(added, monkeypatch):
    entries = [_Entry("plugged", _Plugged), _Entry("broken", lambda: 1 / 0)]
    monkeypatch.setattr(
        models, "entry_points", lambda group, name="": [e for e in entries if name in ("", e.name)]
    )
    listed = {entry.name: entry for entry in known_models()}
    assert listed["plugged"].card.title == "Plugged"
    assert "ZeroDivisionError" in listed["broken"].problem
    assert run_model(blobs(), model="plugged").mask().all()


def test_a_card_becomes_json(added, tmp_path):
    added(threshold_bundle(tmp_path / "half"))
    record = json.loads(json.dumps(find_model("half").card.to_json()))
    assert record["labels"][0]["name"] == "structure_1"
    assert record["channels"] == ["image"]
