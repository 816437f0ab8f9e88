"""The synthetic artery and aorta have the widths that are told of them."""

import numpy as np
import pytest

from meshing.centerline import centerline
from meshing.vessel_findings import stenosis
from workstation.phantom.vessel_tubes import (
    RENAL_AT_MM,
    RENAL_MM,
    aorta_pair,
    exact_aorta,
    exact_narrowing,
    narrowed_artery,
)


def test_the_narrowing_is_measured_as_it_was_made():
    artery = narrowed_artery()
    found = {f"narrowing.{n.quantity}": n.value for n in stenosis(centerline(artery.mesh)).numbers}
    exact = exact_narrowing(artery)
    assert exact["narrowing.diameter_stenosis"] == pytest.approx(50, abs=0.2)
    for name, value in exact.items():
        assert found[name] == pytest.approx(value, rel=0.01), name


def test_the_aorta_grows_where_its_sac_is_and_has_a_neck_above():
    pair = aorta_pair()
    exact = exact_aorta(pair, 2.0)
    assert exact["change.growth_per_year"] == pytest.approx(3.0, abs=0.01)
    assert 20 < exact["diameters.neck.length"] < 50
    grown = pair.now.diameter_mm - pair.earlier.diameter_mm
    assert grown[0] == pytest.approx(0, abs=1e-6)
    assert pair.now.along_mm[grown.argmax()] == pytest.approx(115, abs=1)
    axis = pair.now.axis_mm
    beside = [np.interp(RENAL_AT_MM, pair.now.along_mm, axis[:, n]) for n in range(3)]
    assert beside == pytest.approx(RENAL_MM, abs=0.01)
    ring = pair.now.mesh.points_mm[:48] - axis[0]
    width = 2 * np.sqrt(
        (np.linalg.norm(ring, axis=1) ** 2).mean() * np.sin(np.pi / 24) * 24 / np.pi
    )
    assert width == pytest.approx(pair.now.diameter_mm[0], rel=1e-3), "a polygon of that area"
