"""The prompted network as a step: clicks of a hand reach it, and a plan repeats it."""

import pytest

from segmentation.volume import LabelMap
from tests.workstation.test_session import make_session, replayed
from workstation.formats import digest_value

STAGE = "segmentation.prompted_network"


@pytest.fixture
def session(tmp_path):
    session = make_session(tmp_path)
    yield session
    session.close()


def test_clicks_go_to_the_step_of_the_network_and_its_result_is_that_of_the_plan(session):
    image = session.image().geometry
    inside, outside = (
        tuple(float(v) for v in image.to_world(index)) for index in ((6, 6, 5), (1, 1, 1))
    )
    prompts = (("inside", (inside,)),)
    session.add_step(STAGE, "thing", {"volume": "ct"}, {"prompts": prompts})
    session.add_prompt("thing", (outside,), foreground=False)
    step = session.require_plan().step("thing")
    assert step.stage == STAGE
    assert step.params["prompts"] == (*prompts, ("outside", (outside,)))
    session.compute_job().run()
    label = session.value("thing")
    assert isinstance(label, LabelMap)
    assert label.array[5, 6, 6] == 1
    assert label.array[1, 1, 1] == 0
    assert replayed(session, "thing") == digest_value(label)
