"""The rows of moving a part by hand."""

import pytest

from workstation.benchmark import fitting


def test_a_fragment_a_piece_and_a_plane_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def once(work, repeats):
        made.append(work())
        return 2.0

    monkeypatch.setattr(fitting, "median_ms", once)
    monkeypatch.setattr(fitting, "STEP_MM", 5.0)
    rows = fitting.moves(peers=False)
    assert [row.what.split(",")[0] for row in rows] == ["map", "map", "plane of an osteotomy"]
    assert len(made) == 3
    assert all(row.target_ms == pytest.approx(66.67, abs=0.01) for row in rows)
