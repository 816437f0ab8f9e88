"""The organ that the plan cuts, made small once, for what is drawn while a hand moves."""

from __future__ import annotations

from meshing.surface import SurfaceMesh
from segmentation.volume import LabelMap
from workstation.planning.cut_surface import inside
from workstation.planning.proposal import tight
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP


class CutOrgan:
    """The organ of the plan's cut, as it is computed now."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._made: tuple[LabelMap | None, LabelMap | None] = (None, None)

    @property
    def whole(self) -> LabelMap | None:
        """The organ's label; None where there is none yet."""
        plan = self._desk.session.plan
        step = next((s for s in plan.steps if s.output == CUT_STEP), None) if plan else None
        value = self._desk.value(step.inputs.get("liver", "")) if step is not None else None
        return value if isinstance(value, LabelMap) else None

    @property
    def tight(self) -> LabelMap | None:
        """The organ cropped to its voxels; None where there is none."""
        whole = self.whole
        if whole is not self._made[0]:
            self._made = (whole, None if whole is None else tight(whole))
        return self._made[1]

    def inside(self, surface: SurfaceMesh) -> SurfaceMesh:
        """Return the part of a surface inside the organ; all of it where there is no organ."""
        organ = self.tight
        return surface if organ is None else inside(organ, surface)
