"""A small case with known anatomy, and a real window on it."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from segmentation.images import write_volume
from segmentation.volume import ImageGeometry, Volume
from workstation.case import create_case
from workstation.planning.plan import Plan, Step
from workstation.session import Session
from workstation.stages import at_present
from workstation.ui.main_window import MainWindow

FRAME = "1.2.826.0.1.3680043.2.1125.1"
TUMOR_MM = (-32.0, 4.0, -6.0)
TUMOR_RADIUS_MM = 9.0
STEPS = (
    Step(
        "segmentation.threshold",
        "liver",
        inputs={"volume": "ct"},
        params={"lower_hu": 80, "upper_hu": 300},
    ),
    Step(
        "segmentation.threshold",
        "tumor",
        inputs={"volume": "ct"},
        params={"lower_hu": 165, "upper_hu": 260},
    ),
    Step("planning.cut_plane", "cut", inputs={"liver": "liver", "tumor": "tumor"}),
    Step("planning.specimen", "specimen", inputs={"liver": "liver", "cut": "cut"}),
    Step("planning.remnant", "remnant", inputs={"liver": "liver", "cut": "cut", "tumor": "tumor"}),
    Step("planning.margin", "margin", inputs={"tumor": "tumor", "cut": "cut"}),
    Step("meshing.isosurface", "liver_surface", inputs={"labels": "liver"}),
)


def abdomen_like() -> Volume:
    """Return an ellipsoid of 110 HU, more to the patient's right, with a bright ball in it."""
    size = (48, 40, 30)
    axes = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    geometry = ImageGeometry(size, (3.0, 3.0, 4.0), (-72.0, -60.0, -60.0), axes, FRAME)
    k, j, i = np.mgrid[: size[2], : size[1], : size[0]]
    x, y, z = np.moveaxis(geometry.to_world(np.stack([i, j, k], -1)), -1, 0)
    array = np.full(x.shape, -1000, np.int16)
    array[(x / 70) ** 2 + (y / 58) ** 2 < 1] = 20
    array[((x + 14) / 42) ** 2 + (y / 34) ** 2 + (z / 44) ** 2 < 1] = 110
    a, b, c = TUMOR_MM
    array[(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < TUMOR_RADIUS_MM**2] = 200
    return Volume(array, geometry)


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """The image as a file."""
    file = tmp_path / "scan.nii.gz"
    write_volume(abdomen_like(), file)
    return file


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes case folders that nobody may change: each is computed once in a session."""
    root = tmp_path_factory.mktemp("cases")
    made: dict[str, Path] = {}

    def make(image: Path, steps: tuple[Step, ...], computed: bool, frame: str) -> Path:
        asked = repr((hashlib.sha256(image.read_bytes()).hexdigest(), steps, computed, frame))
        if asked not in made:
            folder = root / f"case{len(made)}"
            with create_case(folder) as case:
                case.record.patient = {"name": "TEST^FLOW", "patient_id": "77", "sex": "F"}
                case.record.synthetic = True
                case.import_file(image, "ct", "volume", frame)
                sources = {"ct": case.record.sources["ct"]["sha256"]}
                plan = at_present(Plan(frame, sources, steps))
                case.add_plan(plan, "Start")
                if computed:
                    case.run(plan)
            made[asked] = folder
        return made[asked]

    return make


@pytest.fixture
def make_case(
    tmp_path: Path, image_file: Path, make_once: Callable[..., Path]
) -> Callable[..., Path]:
    """Makes case folders: steps, computed or not."""

    def make(steps: tuple[Step, ...] = STEPS, computed: bool = True, frame: str = FRAME) -> Path:
        folder = tmp_path / f"case{len(list(tmp_path.glob('case*')))}"
        shutil.copytree(make_once(image_file, steps, computed, frame), folder)
        return folder

    return make


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    """A real window; it must leave neither work nor a lock behind."""
    made = MainWindow(Session(), recent=tmp_path / "state" / "recent.json")
    qtbot.addWidget(made)
    made.resize(1600, 1000)
    with qtbot.waitActive(made):
        made.show()
        made.activateWindow()
    yield made
    made.close()
    assert made.desk.jobs.idle, "a thread still works after the window is closed"
    assert made.session.case is None


@pytest.fixture
def settle(qtbot: QtBot, window: MainWindow) -> Callable[[], None]:
    """Waits until no job is left and what it brought is shown, also in 3D."""

    def wait() -> None:
        window.desk.bindings.refresh()
        while window.desk.jobs.jobs:
            with qtbot.waitSignal(window.desk.jobs.ended, timeout=60_000):
                pass
            window.desk.bindings.refresh()
        qtbot.waitUntil(lambda: not window.views.scene.drawing, timeout=60_000)

    return wait
