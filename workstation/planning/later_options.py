"""What a template offers, added to a plan that has begun: what-ifs, further cuts, guides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from workstation.planning.plan import Plan, PlanError
from workstation.planning.template import Template, templates


def offered(plan: Plan) -> Mapping[str, str]:
    """Return the options of the plan's template that it could still take, and their titles."""
    template = templates().get(plan.template)
    options = {} if template is None else template.options
    return {
        name: option.title for name, option in options.items() if not _lacks(plan, template, name)
    }


def with_later_options(
    plan: Plan, names: Sequence[str], change: Callable[[Plan], Plan] = lambda plan: plan
) -> Plan:
    """Return a plan with the steps of some of its template's options, which ``change`` may set.

    Parameters that treated and untreated flow share are taken over, as where a plan begins.

    Raises:
        PlanError: if there is no such option, the plan has it, or it lacks what it needs.
    """
    template = templates().get(plan.template)
    for name in names:
        if template is None or name not in template.options:
            known = ", ".join(template.options) if template is not None else ""
            raise PlanError(f"the plan has no option {name!r}; it has: {known or 'none'}")
        lacks = _lacks(plan, template, name)
        if lacks:
            raise PlanError(f"{name} cannot be added: {lacks}")
    if template is None:
        return change(plan)
    changed = change(template.with_options(plan, names))
    return template.agreed(template.spared(changed, names), names)


def _lacks(plan: Plan, template: Template | None, name: str) -> str:
    """Return why an option cannot be added to a plan, "" where it can."""
    if template is None:
        return "the plan has no template"
    there = {step.output for step in plan.steps}
    again = sorted(there & {step.output for step in template.options[name].steps})
    if again:
        return f"the plan has {again[0]!r} already"
    try:
        template.with_options(plan, [name])
    except PlanError as error:  # what it begins with is not there
        return str(error)
    return ""
