import pytest

from hemodynamics import resolution
from hemodynamics.verification import tubes
from hemodynamics.verification.rows import Means


def test_the_order_is_the_slope_of_the_logarithms():
    assert tubes.order_of([3.0 * n**-1.5 for n in tubes.CELLS]) == pytest.approx(1.5)


@pytest.mark.parametrize(("worse", "verdicts"), [(1.0, {"pass"}), (1.8, {"pass", "fail"})])
def test_errors_are_judged_by_the_law(monkeypatch, worse, verdicts):
    def as_promised(kind, cells, progress):
        progress(1.0)
        percent, order = tubes.LAWS[kind]
        return {"shear": worse * percent * (10 / cells) ** order, "velocity": 0.9}

    monkeypatch.setattr(tubes, "errors_of", as_promised)
    told = []
    rows = list(tubes.convergence(Means(progress=lambda fraction, text="": told.append(fraction))))
    assert {row.verdict for row in rows} == verdicts
    orders = [row.value for row in rows if row.quantity == "wall shear, order"]
    assert orders == pytest.approx([resolution.STEADY_ORDER, resolution.ORDER])
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_five_cells_are_as_good_as_the_law_says():
    found = tubes.errors_of("steady", 5.0)
    assert found["shear"] == pytest.approx(
        resolution.STEADY_PERCENT * 2**resolution.STEADY_ORDER, rel=0.5
    )
    assert found["velocity"] < 2.0
