import numpy as np
import pytest

from meshing.mesh import SurfaceMesh
from tests.hemodynamics.test_flow_files import some_flow
from workstation.actors import scene_items
from workstation.export import endings
from workstation.formats import FORMATS, digest_value, kind_of, size_of
from workstation.looks import default_quantity
from workstation.stages import STAGES


def test_a_flow_is_kept_whole(tmp_path):
    flow = some_flow()
    form = FORMATS[kind_of(flow)]
    form.write(flow, tmp_path / "flow.npz")
    back = form.read(form.record(flow), tmp_path / "flow.npz")
    assert digest_value(back) == digest_value(flow)
    assert size_of(back) > flow.velocity_m_s.nbytes
    assert digest_value(some_flow(1)) != digest_value(flow)


def test_a_flow_is_its_wall_coloured_by_shear():
    item = scene_items({"flow": some_flow()})["flow"]
    assert isinstance(item.surface, SurfaceMesh)
    assert default_quantity(item.surface) == "tawss_pa"
    assert item.scalars.unit == "Pa"
    assert np.isclose(item.scalars.high, 2.0)


def test_a_flow_goes_to_lumen_wall_and_table():
    assert set(endings(some_flow())) == {".vtu", ".vtp", ".json", ".csv"}


@pytest.mark.parametrize(
    ("name", "unit"), [("viscosity_pa_s", "Pa·s"), ("mean_flow_ml_s", "mL/s"), ("decay_s", "s")]
)
def test_the_form_names_the_units(name, unit):
    stage = STAGES["hemodynamics.simulate_flow"]
    assert stage.output_kind == "FlowResult"
    assert stage.parameters[name].unit == unit
