"""``hilum repair``: from file to file, with a report; the original stays."""

import json
from pathlib import Path

import numpy as np
import pytest

from meshing.files import write_surface
from meshing.reading import read_surface
from meshing.surface import enclosed_mm3, is_watertight
from tests.campaigns.damage import KINDS
from tests.meshing.solids import pear
from workstation.__main__ import main


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    mesh, _ = KINDS["small_holes"](pear(), np.random.default_rng(0))
    return write_surface(mesh, tmp_path / "damaged.stl")


def test_a_file_is_repaired_into_another(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = damaged.read_bytes()
    assert main(["repair", str(damaged), str(tmp_path / "good.stl"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "holes" in {f["code"] for f in report["findings"]}
    assert {"volume", "largest_change", "holes"} <= {n["quantity"] for n in report["numbers"]}
    good = read_surface(tmp_path / "good.stl")
    assert is_watertight(good)
    assert enclosed_mm3(good) == pytest.approx(enclosed_mm3(pear()), rel=5e-3)
    assert damaged.read_bytes() == before


def test_the_original_is_never_written_over(
    damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = damaged.read_bytes()
    assert main(["repair", str(damaged), str(damaged)]) == 1
    assert "the original" in capsys.readouterr().err
    assert damaged.read_bytes() == before


def test_a_wrong_parameter_is_named(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["repair", str(damaged), str(tmp_path / "x.stl"), "--set", "open_ends=glue"])
    assert code == 1
    assert "open_ends" in capsys.readouterr().err
    assert not (tmp_path / "x.stl").exists()
