"""Bundles of the Model Zoo build; a threshold as the network proves the way there and back."""

import json
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from segmentation.bundles.folder import BundleError, read_bundle
from segmentation.bundles.recipe import read_recipe
from segmentation.volume import ImageGeometry, Volume
from tests.segmentation import zoo
from tests.segmentation.made_bundles import (
    HARD,
    SOFT,
    give_weights,
    spacing,
    step,
    threshold_bundle,
    window,
    write_bundle,
)

torch = pytest.importorskip("torch")

from segmentation.bundles.inference import (  # noqa: E402  (after torch is known to be there)
    Trust,
    load_model,
    read_weights,
    run_model,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # MONAI and torch warn of one another
THRESHOLD = step("AsDiscreted", keys="pred", threshold=0.5)
AXES = {
    "straight": np.eye(3),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "permuted": np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]]),
    "oblique": Rotation.from_euler("xyz", [14, -21, 33], degrees=True).as_matrix(),
    "oblique, permuted": Rotation.from_euler("xyz", [14, -21, 33], degrees=True).as_matrix()
    @ np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]]),
}


@pytest.fixture(autouse=True)
def _clean_modules():
    """Forget the scripts of a bundle, and where they lay."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [n for n in sys.modules if n.split(".")[0] == "scripts"]:
        del sys.modules[name]


def blobs(axes=AXES["straight"], spacing_mm=(0.8, 1.1, 2.5), size=(60, 48, 22)):
    """A smooth CT-like image that no flip or turn leaves alike."""
    geometry = ImageGeometry(size, spacing_mm, (-31, 12, 55), tuple(axes.ravel()), "1.2.3")
    rng = np.random.default_rng(7)
    noise = rng.standard_normal(geometry.shape)
    smooth = gaussian_filter(noise, [5 / s for s in geometry.spacing_kji_mm])
    k, _, i = np.indices(geometry.shape)
    array = 60 + 220 * smooth / smooth.std() + 60 * (i / size[0] - k / size[2])
    return Volume(array.astype(np.float32), geometry)


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("post", [SOFT, HARD], ids=["soft", "hard"])
def test_the_way_there_and_back_keeps_every_place(tmp_path, name, post):
    folder = threshold_bundle(tmp_path / "threshold", post=post)
    volume = blobs(AXES[name])
    result = run_model(load_model(read_bundle(folder), Trust()), [volume], lambda *_: None)
    assert result.geometry == volume.geometry
    expected = volume.array > 100
    assert 0.1 < expected.mean() < 0.9
    assert dice(result.mask(), expected) > 0.95


def test_a_grid_oblique_to_the_network_s_is_sampled_too(tmp_path):
    turned = [step("Spacingd", keys="image", pixdim=[1.5] * 3, diagonal=True), window(-100, 300)]
    volume = blobs(AXES["oblique"])
    for post in (SOFT, HARD):
        folder = threshold_bundle(tmp_path / str(len(post[1])), turned, post=post)
        model = load_model(read_bundle(folder), Trust())
        result = run_model(model, [volume], lambda *_: None)
        assert dice(result.mask(), volume.array > 100) > 0.9


def test_what_is_cropped_away_is_background(tmp_path):
    crop = step("CropForegroundd", keys="image", source_key="image", margin=1)
    prepare = [*spacing(1.5, 1.5, 2.0), window(-100, 300), crop]
    volume = blobs()
    hole = np.where(np.indices(volume.geometry.shape)[2] > 30, -1000, volume.array)
    cropped = Volume(hole.astype(np.float32), volume.geometry)
    model = load_model(read_bundle(threshold_bundle(tmp_path / "crop", prepare)), Trust())
    result = run_model(model, [cropped], lambda *_: None)
    assert not result.mask()[:, :, 34:].any()
    assert dice(result.mask(), cropped.array > 100) > 0.95


@pytest.mark.parametrize("make", zoo.PLAIN, ids=lambda f: f.__name__)
def test_a_zoo_bundle_builds_and_runs_without_consent(tmp_path, make):
    folder = make(tmp_path / make.__name__)
    assert read_recipe(read_bundle(folder)).code == ()
    give_weights(folder, wrapped=make is zoo.spleen)
    bundle = read_bundle(folder)
    model = load_model(bundle, Trust())
    assert model.window.batch >= 2
    volume = blobs(AXES["oblique"], (2.0, 2.2, 4.0), (20, 18, 9))
    count = len(bundle.inputs["channel_def"])
    result = run_model(model, [volume] * count, lambda *_: None)
    assert result.geometry == volume.geometry
    assert set(np.unique(result.array)) - {0} <= set(result.labels)


@pytest.mark.parametrize("make", zoo.CODED, ids=lambda f: f.__name__)
def test_a_zoo_bundle_with_code_asks_first(tmp_path, make):
    folder = make(tmp_path / make.__name__)
    code = read_recipe(read_bundle(folder)).code
    assert any("scripts" in entry for entry in code)
    with pytest.raises(BundleError, match="carries code"):
        load_model(read_bundle(folder), Trust())
    sys.path.insert(0, str(folder))
    give_weights(folder)
    bundle = read_bundle(folder)
    model = load_model(bundle, Trust(code=True))
    volume = blobs(AXES["permuted"], (2.0, 2.2, 4.0), (20, 18, 9))
    result = run_model(model, [volume] * len(bundle.inputs["channel_def"]), lambda *_: None)
    assert result.geometry == volume.geometry


def test_torchscript_stands_in_for_what_needs_cuda(tmp_path):
    folder = zoo.dints(tmp_path / "dints")
    network = torch.nn.Conv3d(1, 3, 3, padding=1).eval()
    torch.jit.script(network).save(folder / "models" / "model.ts")
    bundle = read_bundle(folder)
    with pytest.raises(BundleError, match="carries code"):
        load_model(bundle, Trust())
    result = run_model(load_model(bundle, Trust(code=True)), [blobs()], lambda *_: None)
    assert result.array.any()


def test_labels_bear_names_codes_and_colours(tmp_path):
    folder = zoo.whole_body(tmp_path / "body")
    give_weights(folder)
    model = load_model(read_bundle(folder), Trust())
    volume = blobs(size=(14, 12, 8), spacing_mm=(3, 3, 3))
    labels = run_model(model, [volume], lambda *_: None).labels
    assert labels[1].name == "spleen"
    assert labels[1].code == "78961009"
    assert (labels[2].name, labels[2].code) == ("kidney_right", "64033007")
    assert labels[18].code == "49668003"
    assert labels[2].colour == labels[3].colour != labels[18].colour


def test_overlapping_channels_keep_their_names_and_the_smaller_lies_on_top(tmp_path):
    network = step("torch.nn.Conv3d", in_channels=1, out_channels=2, kernel_size=1)
    post = (step("Activationsd", keys="pred", sigmoid=True), SOFT[1], THRESHOLD)
    folder = write_bundle(
        tmp_path / "two",
        network,
        [window(0, 200)],
        post,
        {"0": "core", "1": "whole"},
    )
    state = {
        "weight": torch.tensor([40.0, 40.0]).reshape(2, 1, 1, 1, 1),
        "bias": torch.tensor([-30.0, -10.0]),
    }
    torch.save(state, folder / "models" / "model.pt")
    volume = blobs()
    result = run_model(load_model(read_bundle(folder), Trust()), [volume], lambda *_: None)
    core, whole = volume.array > 150, (volume.array > 50) & (volume.array <= 150)
    assert [label.name for label in result.labels.values()] == ["core", "whole"]
    assert dice(result.mask("core"), core) > 0.98
    assert dice(result.mask("whole"), whole) > 0.98
    assert "overlapping_labels" in {finding.code for finding in result.findings}


def test_weights_of_another_network_are_counted_and_refused(tmp_path):
    folder = zoo.spleen(tmp_path / "spleen")
    give_weights(folder)
    path = folder / "models" / "model.pt"
    state = torch.load(path)
    torch.save(dict(list(state.items())[3:]), path)
    with pytest.raises(BundleError, match=r"\d+ of its \d+ tensors fit"):
        load_model(read_bundle(folder), Trust())


def test_weights_that_run_code_are_refused_and_run_nothing(tmp_path):
    path, mark = tmp_path / "model.pt", tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    torch.save({"weight": Evil()}, path)
    with pytest.raises(BundleError, match="could run code"):
        read_weights(path)
    assert not mark.exists()


def test_old_weights_with_numpy_numbers_need_no_consent(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"state_dict": {"module.a": torch.ones(2)}, "best": np.float64(0.9)}, path)
    assert list(read_weights(path)) == ["a"]


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04" + bytes(200)])
def test_damaged_weights_are_refused(tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        read_weights(path)


def test_an_incomplete_bundle_says_what_it_lacks(tmp_path):
    folder = zoo.spleen(tmp_path / "spleen")
    config = folder / "configs" / "inference.json"
    entries = json.loads(config.read_text())
    with pytest.raises(BundleError, match="no weights"):
        _ = read_bundle(folder).weights
    config.write_text(json.dumps({k: v for k, v in entries.items() if k != "network_def"}))
    with pytest.raises(BundleError, match="network"):
        read_recipe(read_bundle(folder))
    config.unlink()
    with pytest.raises(BundleError, match=r"no configs/inference\.json"):
        read_recipe(read_bundle(folder))
    with pytest.raises(BundleError, match="no MONAI bundle"):
        read_bundle(tmp_path / "spleen" / "models")


def test_a_bundle_for_pictures_is_refused(tmp_path):
    folder = zoo.spleen(tmp_path / "endoscopy")
    path = folder / "configs" / "metadata.json"
    told = json.loads(path.read_text())
    told["network_data_format"]["inputs"]["image"]["spatial_shape"] = [736, 480]
    path.write_text(json.dumps(told))
    with pytest.raises(BundleError, match="pictures"):
        read_recipe(read_bundle(folder))


def test_constant_windows_never_reach_the_network(tmp_path):
    model = load_model(read_bundle(threshold_bundle(tmp_path / "half")), Trust())
    seen = []
    model.network.register_forward_hook(lambda _, given, made: seen.append(given[0]))
    volume = blobs(size=(140, 48, 22))
    air = np.where(np.indices(volume.geometry.shape)[2] > 60, -1000, volume.array)
    result = run_model(model, [Volume(air, volume.geometry)], lambda *_: None)
    assert not result.mask()[:, :, 64:].any()
    windows = sum(len(batch) for batch in seen)
    assert all(len(batch) == 2 for batch in seen)
    assert windows < model.window.count((75, 35, 28))
    assert not any(bool((window == window.flatten()[0]).all()) for b in seen for window in b)


def test_the_same_image_gives_the_same_bytes(tmp_path):
    folder = zoo.whole_body(tmp_path / "body")
    give_weights(folder)
    volume = blobs(AXES["permuted"], (3, 3, 3), (24, 20, 14))
    one, other = (
        run_model(load_model(read_bundle(folder), Trust()), [volume], lambda *_: None)
        for _ in range(2)
    )
    assert one.array.any()
    assert np.array_equal(one.array, other.array)
