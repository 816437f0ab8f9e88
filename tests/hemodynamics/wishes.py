"""Wishes for a flow with the usual values."""

import inspect

from hemodynamics.flow import simulate_flow
from hemodynamics.flow_setup import Wishes


def wishes(**given):
    """Return the wishes that `simulate_flow` makes of its defaults and of what is given."""
    parameters = inspect.signature(simulate_flow).parameters
    usual = {n: p.default for n, p in parameters.items() if n in Wishes.__dataclass_fields__}
    return Wishes(**{"pulsatile": False, **usual, **given})
