import json

import numpy as np
import pytest

from meshing.mesh import SurfaceMesh
from segmentation.images import write_labels
from tests.hemodynamics.test_flow_files import some_flow
from tests.meshing.vessels import capsule, labelled
from workstation.actors import scene_items
from workstation.case import create_case
from workstation.export import endings, export
from workstation.formats import FORMATS, digest_value, kind_of, size_of
from workstation.looks import default_quantity
from workstation.planning.plan import Plan, Step
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
    assert {".vtu", ".vtp", ".json", ".csv"} < set(endings(some_flow()))


@pytest.mark.parametrize(
    ("name", "unit"), [("viscosity_pa_s", "Pa·s"), ("mean_flow_ml_s", "mL/s"), ("decay_s", "s")]
)
def test_the_form_names_the_units(name, unit):
    stage = STAGES["hemodynamics.simulate_flow"]
    assert stage.output_kind == "FlowResult"
    assert stage.parameters[name].unit == unit


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flow")
    parts = [capsule([-20, 0, 0], [20, 0, 0], 2.4), capsule([0, 0, 0], [6, 14, 2], 1.8)]
    low, high = np.array([-18.0, -5, -5]), np.array([18.0, 18, 6])
    write_labels(labelled(parts, low, high, (0.7, 0.7, 0.7)), folder / "vessels.nrrd")
    params = {"spacing_mm": 0.7, "mean_flow_ml_s": 2.0, "most_exchanges": 2.5}
    steps = (
        Step("meshing.isosurface", "lumen", 2, {"labels": "vessels"}),
        Step("meshing.centerline", "line", 1, {"lumen": "lumen"}),
        Step("meshing.cut_ends", "open", 1, {"lumen": "lumen", "centerline": "line"}),
        Step("meshing.cap_ends", "ready", 1, {"lumen": "open", "centerline": "line"}),
        Step("hemodynamics.simulate_flow", "flow", 1, {"lumen": "ready"}, params),
    )
    with create_case(folder / "case") as case:
        case.import_file(folder / "vessels.nrrd", "vessels", "labels")
        source = case.record.sources["vessels"]
        case.add_plan(Plan(source["frame_uid"], {"vessels": source["sha256"]}, steps), "Flow")
        case.run(case.plan())
        yield case


def test_flow_of_a_branching_vessel_splits_by_murrays_law(case):
    flow = case.value("flow")
    shares = flow.conditions["outflow_shares"]
    numbers = {n.quantity: n.value for n in flow.numbers}
    assert set(shares) == {"outlet_1", "outlet_2"}
    for name, share in shares.items():
        assert numbers[f"{name}.flow"] == pytest.approx(-2.0 * share, rel=0.01)
    assert numbers["imbalance"] < 1.0
    assert flow.frame_uid == case.value("ready").frame_uid


def test_flow_is_exported_from_a_case(case, tmp_path):
    for ending in (".vtu", ".vtp", ".json", ".csv"):
        export(case, "flow", tmp_path / f"flow{ending}")
    record = json.loads((tmp_path / "flow.json").read_text("utf-8"))
    assert record["conditions"]["outlets"] == "split"
    assert set(record["flows_ml_s"]) == {"inlet", "outlet_1", "outlet_2"}
    assert "wss.mean" in (tmp_path / "flow.csv").read_text("utf-8")
    assert all((tmp_path / f"flow{e}").stat().st_size > 1000 for e in (".vtu", ".vtp"))
