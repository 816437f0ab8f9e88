import numpy as np
import pytest

from hemodynamics.rheology import CarreauYasuda, Newtonian


def test_blood_thins_between_its_two_viscosities():
    blood = CarreauYasuda()
    rates = np.logspace(-4, 6, 60)
    viscosity = blood.viscosity_at(rates)
    assert (np.diff(viscosity) < 0).all()
    assert viscosity[0] == pytest.approx(0.056, rel=1e-6)
    assert viscosity[-1] == pytest.approx(0.00345, rel=1e-2)
    # 0.00345 + 0.05255 (1 + 331.3^2)^-0.3216
    assert blood.viscosity_at(100.0) == pytest.approx(0.00470767, rel=1e-5)
    assert (np.diff(rates * viscosity) > 0).all()


def test_a_power_of_one_is_newtonian():
    rates = np.array([0.0, 1.0, 1000.0])
    same = CarreauYasuda(0.004, 0.001, power=1.0).viscosity_at(rates)
    assert np.allclose(same, Newtonian(0.004).viscosity_at(rates))


@pytest.mark.parametrize(
    "wrong", [{"infinite_pa_s": 0.1}, {"infinite_pa_s": 0.0}, {"power": 1.2}, {"time_s": 0.0}]
)
def test_what_is_no_thinning_fluid_is_refused(wrong):
    with pytest.raises(ValueError, match=r"thins|Carreau"):
        CarreauYasuda(**wrong)
