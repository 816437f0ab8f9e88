"""Bundles are added safely, remembered by checksum, and trusted only as far as was said."""

import hashlib
import http.server
import json
import threading
import zipfile
from typing import ClassVar

import pytest

from segmentation.bundles import download, store
from segmentation.bundles.code import carried_code, is_plain_expression, is_plain_target
from segmentation.bundles.folder import BundleError, read_bundle
from segmentation.bundles.inference import Trust
from segmentation.models import BundleModel, find_model, known_models
from tests.segmentation import zoo


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def spleen(tmp_path):
    return weighed(zoo.spleen(tmp_path / "spleen_ct"))


def weighed(folder, content=b"weights"):
    (folder / "models" / "model.pt").write_bytes(content)
    return folder


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_or_zip_is_added_listed_verified_and_removed(spleen, models, tmp_path, packed):
    source = zipped(spleen, tmp_path / "spleen_ct_v0.3.1.zip") if packed else spleen
    bundle = store.add_bundle(source)
    assert (bundle.name, bundle.version) == ("spleen_ct", "0.3.1")
    assert bundle.folder == (models / "spleen_ct").resolve()
    card = find_model("spleen_ct").card
    assert card.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert card.modality == "CT"
    assert card.labels[1].code == "78961009"
    assert card.allowed
    assert "spleen_ct" in [entry.name for entry in known_models()]
    assert store.changed_since_added(bundle) == ()
    weighed(bundle.folder, b"other")
    assert store.changed_since_added(read_bundle(bundle.folder)) == ("weights",)
    store.remove_bundle("spleen_ct")
    assert list(models.iterdir()) == []
    with pytest.raises(BundleError, match="no model"):
        find_model("spleen_ct")


def test_a_name_is_taken_once_and_another_can_be_given(spleen):
    store.add_bundle(spleen)
    with pytest.raises(BundleError, match="already"):
        store.add_bundle(spleen)
    assert store.add_bundle(spleen, name="spleen_2").name == "spleen_2"
    with pytest.raises(BundleError, match="cannot name"):
        store.add_bundle(spleen, name="../evil")


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "C:/out.txt"])
def test_an_archive_that_points_outside_is_refused(tmp_path, models, name):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(BundleError, match="not safe to unpack"):
        store.add_bundle(path)
    assert list(models.iterdir()) == []


def test_links_bombs_and_rubbish_are_refused(tmp_path, models):
    link = zipfile.ZipInfo("configs/metadata.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(300 << 20))
    (tmp_path / "rubbish.zip").write_bytes(b"no archive")
    for name, reason in (("link", "not safe"), ("bomb", "swell"), ("rubbish", "no ZIP")):
        with pytest.raises(BundleError, match=reason):
            store.add_bundle(tmp_path / f"{name}.zip")
    assert list(models.iterdir()) == []


def test_consent_holds_for_exactly_the_files_it_was_given_for(tmp_path):
    bundle = store.add_bundle(weighed(zoo.unest(tmp_path / "unest")))
    model = BundleModel(bundle)
    assert not model.card.allowed
    assert any("scripts.networks.unest.UNesT" in entry for entry in model.card.code)
    assert store.trust_in(bundle) == Trust()
    store.allow("unest", code=True)
    assert store.trust_in(read_bundle(bundle.folder)) == Trust(code=True)
    store.allow("unest", pickles=True)
    assert store.trust_in(read_bundle(bundle.folder)) == Trust(code=True, pickles=True)
    (bundle.folder / "scripts" / "more.py").write_text("print('hello')")
    weighed(bundle.folder, b"others")
    assert store.trust_in(read_bundle(bundle.folder)) == Trust()


def test_a_broken_bundle_is_listed_with_its_problem(spleen, models):
    bundle = store.add_bundle(spleen)
    (bundle.folder / "configs" / "metadata.json").write_text("{")
    (listed,) = [entry for entry in known_models() if entry.name == "spleen_ct"]
    assert listed.card is None
    assert "cannot be read" in listed.problem


@pytest.mark.parametrize(
    "text",
    [
        "[1.5, 1.5, 1.5] if @a#highres else [3.0, 3.0, 3.0]",
        "torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "lambda x: x.clamp(-200, 1000) if x.min() < -500 else x",
        "lambda x: torch.where(x[[2]] > 0, 4, 1)",
        "list(set([i+1 for i in range(132)]) - set([2, 16]))",
        "torch.nn.Sequential(@fold, @unet)",
        "len(@spatial_size)",
    ],
)
def test_settings_written_as_expressions_are_plain(text):
    assert is_plain_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "torch.hub.load('a', 'b')",
        "torch.load('x')",
        "().__class__.__bases__[0].__subclasses__()",
        "[torch][0].load('x')",
        "(lambda torch: torch.load)(1)",
        "open('x')",
        "eval('1')",
        "np.load('x', allow_pickle=True)",
        "monai.bundle.run()",
        "torch.__loader__",
        "f'{@x}'",
        "import os",
        "@x.to('cuda').__globals__",
        "getattr(torch, 'load')",
        "(x := 3)",
    ],
)
def test_expressions_that_could_do_anything_are_not(text):
    assert not is_plain_expression(text)
    assert carried_code({"a": [{"b": f"${text}"}]})


@pytest.mark.parametrize(
    "target",
    ["os.system", "builtins.eval", "monai.bundle.run", "scripts.UNet", "evil.nets.UNet", 3],
)
def test_targets_outside_the_lists_need_consent(target):
    assert not is_plain_target(target)
    assert carried_code({"network_def": {"_target_": target}})


def test_macros_and_hidden_settings_need_consent():
    assert carried_code({"a": "%/etc/other.json#net"})
    assert carried_code({"a": {"_target_": "UNet", "_mode_": "debug"}})


class _Files(http.server.BaseHTTPRequestHandler):
    content: ClassVar[dict[str, bytes]] = {}

    def do_GET(self):
        found = self.content.get(self.path)
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    _Files.content = {}
    yield f"http://127.0.0.1:{server.server_port}", _Files.content
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_needs_the_right_checksum(site, spleen, tmp_path, models):
    address, content = site
    packed = zipped(spleen, tmp_path / "spleen.zip").read_bytes()
    content["/spleen_ct.zip"] = packed
    right = hashlib.sha256(packed).hexdigest()
    with pytest.raises(BundleError, match="needs the SHA-256"):
        download.add_from_url(f"{address}/spleen_ct.zip", "")
    with pytest.raises(BundleError, match="another checksum"):
        download.add_from_url(f"{address}/spleen_ct.zip", "0" * 64)
    with pytest.raises(BundleError, match="answers 404"):
        download.add_from_url(f"{address}/other.zip", right)
    with pytest.raises(BundleError, match="no https"):
        download.add_from_url("http://example.org/a.zip", right)
    assert not models.exists()
    assert download.add_from_url(f"{address}/spleen_ct.zip", right.upper()).name == "spleen_ct"
    assert right in store.installed("spleen_ct").source.lower()


def test_the_model_zoo_gives_the_newest_version_by_name(site, spleen, tmp_path):
    address, content = site
    packed = zipped(spleen, tmp_path / "spleen.zip").read_bytes()
    content["/new.zip"] = packed
    record = {
        "checksum": hashlib.sha1(packed, usedforsecurity=False).hexdigest(),
        "source": f"{address}/new.zip",
    }
    index = {
        "spleen_ct_v0.10.0": record,
        "spleen_ct_v0.9.1": {"checksum": "0" * 40, "source": f"{address}/old.zip"},
        "elsewhere_v1.0.0": {"checksum": "", "source": "https://huggingface.co/MONAI/elsewhere"},
    }
    content["/index.json"] = json.dumps(index).encode()
    where = f"{address}/index.json"
    assert download.zoo_entries(where)["spleen_ct"].version == "0.10.0"
    assert download.add_from_zoo("spleen_ct", index=where).name == "spleen_ct"
    with pytest.raises(BundleError, match="it has: elsewhere, spleen_ct"):
        download.add_from_zoo("nothing", index=where)
    with pytest.raises(BundleError, match="without a checksum"):
        download.add_from_zoo("elsewhere", index=where)


def test_nobody_there_reads_well():
    with pytest.raises(BundleError, match="cannot be reached") as caught:
        download.add_from_url("http://127.0.0.1:9/a.zip", "0" * 64)
    assert "download the file elsewhere" in caught.value.remedy
