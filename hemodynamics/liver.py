"""A steady lumped model of the liver's blood supply, before and after a resection.

Four resistors between mean arterial pressure and caval pressure, both held fixed: gut,
portal (presinusoidal), hepatic artery, hepatic veins (postsinusoidal). A resection that
removes the fraction f of the liver scales the three hepatic resistances by 1 / (1 - f), as
in the lobe-wise models of Audebert 2017 (doi:10.1016/j.jbiomech.2016.11.037). The model is
not validated against patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class LiverCirculation:
    """Pressures in mmHg and flows in L/min of the hepatic circulation at rest.

    Attributes:
        arterial_mmhg: mean arterial pressure.
        portal_mmhg: portal vein pressure.
        sinusoidal_mmhg: pressure in the sinusoids.
        caval_mmhg: pressure in the inferior vena cava.
        portal_flow_l_min: portal vein flow.
        arterial_flow_l_min: hepatic artery flow.

    Raises:
        ValueError: unless arterial > portal > sinusoidal > caval pressure and both flows are
            positive.
    """

    arterial_mmhg: float
    portal_mmhg: float
    sinusoidal_mmhg: float
    caval_mmhg: float
    portal_flow_l_min: float
    arterial_flow_l_min: float

    def __post_init__(self) -> None:
        pressures = (self.arterial_mmhg, self.portal_mmhg, self.sinusoidal_mmhg, self.caval_mmhg)
        if not all(high > low for high, low in pairwise(pressures)):
            raise ValueError(
                "pressures must fall from artery to portal vein to sinusoids to vena cava, "
                f"not {pressures} mmHg; check the values of the patient"
            )
        if not (self.portal_flow_l_min > 0 and self.arterial_flow_l_min > 0):
            raise ValueError("both hepatic flows must be positive; check the values of the patient")

    @property
    def gradient_mmhg(self) -> float:
        """The portocaval pressure gradient."""
        return self.portal_mmhg - self.caval_mmhg

    def after_resection(self, fraction: float) -> LiverCirculation:
        """Return the steady state after the volume ``fraction`` (0 to below 1) is removed.

        Raises:
            ValueError: for a fraction outside that range.
        """
        if not 0.0 <= fraction < 1.0:
            raise ValueError(f"the resected fraction must lie in [0, 1), not {fraction}")
        scale = 1.0 / (1.0 - fraction)
        return self._scaled(portal=scale, artery=scale, veins=scale)

    def after_portal_occlusion(self, fraction: float) -> LiverCirculation:
        """Return the steady state when portal branches to a ``fraction`` (0 to below 1) are shut.

        Their territory keeps its artery and its hepatic veins.

        Raises:
            ValueError: for a fraction outside that range.
        """
        if not 0.0 <= fraction < 1.0:
            raise ValueError(f"the occluded fraction must lie in [0, 1), not {fraction}")
        return self._scaled(portal=1.0 / (1.0 - fraction))

    def _scaled(
        self, portal: float = 1.0, artery: float = 1.0, veins: float = 1.0
    ) -> LiverCirculation:
        """Return the steady state with the hepatic resistances times these factors."""
        gut = (self.arterial_mmhg - self.portal_mmhg) / self.portal_flow_l_min
        portal *= (self.portal_mmhg - self.sinusoidal_mmhg) / self.portal_flow_l_min
        artery *= (self.arterial_mmhg - self.sinusoidal_mmhg) / self.arterial_flow_l_min
        veins *= (self.sinusoidal_mmhg - self.caval_mmhg) / (
            self.portal_flow_l_min + self.arterial_flow_l_min
        )
        # Flow balance at the portal vein and at the sinusoids.
        balance = np.array(
            [
                [1 / gut + 1 / portal, -1 / portal],
                [-1 / portal, 1 / portal + 1 / artery + 1 / veins],
            ]
        )
        supply = np.array(
            [self.arterial_mmhg / gut, self.arterial_mmhg / artery + self.caval_mmhg / veins]
        )
        at_portal, at_sinusoids = (float(p) for p in np.linalg.solve(balance, supply))
        return LiverCirculation(
            self.arterial_mmhg,
            at_portal,
            at_sinusoids,
            self.caval_mmhg,
            (self.arterial_mmhg - at_portal) / gut,
            (self.arterial_mmhg - at_sinusoids) / artery,
        )
