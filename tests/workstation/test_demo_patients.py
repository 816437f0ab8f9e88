"""The table of built-in patients agrees with the command line and the templates."""

import pytest

from workstation.arguments import PATIENTS
from workstation.case import CaseError, create_case
from workstation.demo import DEMOS, start_demo
from workstation.importing import with_settings
from workstation.planning.template import find_template
from workstation.stages import check_plan


def test_the_command_line_offers_every_patient():
    assert tuple(DEMOS) == PATIENTS


@pytest.mark.parametrize("name", DEMOS)
def test_each_patient_begins_a_plan_that_holds_together(name):
    demo = DEMOS[name]
    template = find_template(demo.template)
    check_plan(with_settings(template.plan("", {demo.source: ""}), demo.settings))


def test_a_real_patient_is_never_overwritten(tmp_path):
    with create_case(tmp_path / "case") as case:
        case.record.sources["ct"] = {"kind": "volume", "frame_uid": "1.2"}
        case.save()
    with pytest.raises(CaseError, match="real patient"):
        start_demo(tmp_path / "case", "aneurysm")
