from collections.abc import Callable

import pytest

from meshing.surface import is_watertight, volume_ml
from workstation.benchmark import cutting


def test_the_organ_is_closed_and_as_fine_as_it_says() -> None:
    coarse, fine = cutting.organ(12), cutting.organ(24)
    assert is_watertight(coarse)
    assert len(fine.triangles) == 12 * 24**2
    assert volume_ml(fine) == pytest.approx(1470, rel=0.02)
    assert volume_ml(coarse) == pytest.approx(volume_ml(fine), rel=0.02)


def test_whole_and_proxy_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []

    def once(work: Callable[[], object]) -> float:
        parts.append(work())
        return 2.0

    monkeypatch.setattr(cutting, "median_ms", once)
    monkeypatch.setattr(cutting, "drags", list)
    monkeypatch.setattr(cutting, "TARGETS_MS", {20: 1000.0, 10: 50.0})
    whole, proxy = cutting.cuts(peers=False)
    assert (whole.what, proxy.target_ms) == ("plane cut, 4,800 triangles", 50.0)
    assert all(is_watertight(part) and volume_ml(part) < 1400 for part in parts)
