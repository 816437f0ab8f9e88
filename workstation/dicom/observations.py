"""What a reader must know about a volume that its headers alone tell."""

from __future__ import annotations

from collections.abc import Sequence

from segmentation.contract import Finding, Severity
from segmentation.wording import counted
from workstation.dicom.geometry import Stack
from workstation.dicom.slices import Slice
from workstation.dicom.values import empty_value


def observations(slices: Sequence[Slice], stack: Stack) -> list[Finding]:
    """Return the findings on slices (in z order) that make the grid of ``stack``."""
    first, found = slices[0], []
    if stack.tilted:
        text = (
            f"the slices are sheared by {stack.tilt_degrees:.1f} degrees (gantry tilt); "
            "they were resampled in their planes onto an orthogonal grid "
            f"whose empty corners hold {empty_value(first.quantity):g}"
        )
        found.append(Finding(Severity.WARNING, "gantry_tilt", text))
    if len(slices) == 1:
        text = "a single slice; its depth is the nominal slice thickness"
        found.append(Finding(Severity.WARNING, "single_slice", text))
    apart, thick = stack.geometry.spacing_mm[2], first.thickness_mm
    if thick is not None and 0 < 1.5 * thick < apart:
        text = f"the slices are {apart:g} mm apart and {thick:g} mm thick: gaps are not seen"
        found.append(Finding(Severity.WARNING, "slice_gaps", text))
    own = first.identity.modality == "PT"  # each PET slice has its own
    if not own and len({(s.slope, s.intercept) for s in slices}) > 1:
        text = "slope or intercept differ between slices; each slice was rescaled by its own"
        found.append(Finding(Severity.WARNING, "rescale_varies", text))
    if len({_storage(s) for s in slices}) > 1:
        text = "slices differ in stored bits or sign; each was read by its own header"
        found.append(Finding(Severity.WARNING, "pixel_form_varies", text))
    excess = [s for s in slices if s.form.excess_bytes]
    if excess:
        text = (
            f"{len(excess)} of {counted(len(slices), 'slice')} with more pixels than the header "
            "describes; the rest was left out"
        )
        found.append(Finding(Severity.WARNING, "excess_pixels", text))
    if not first.identity.frame_uid:
        text = "no frame of reference: it cannot be combined with other series unregistered"
        found.append(Finding(Severity.WARNING, "no_frame_of_reference", text))
    if first.form.photometric == "MONOCHROME1":
        text = "high values are meant to be shown dark (MONOCHROME1); the values are kept"
        found.append(Finding(Severity.INFO, "monochrome1", text))
    if first.note[0]:
        found.append(Finding(Severity.WARNING, *first.note))
    if first.quantity.startswith("CT value"):
        text = "the CT values are not declared to be Hounsfield units"
        found.append(Finding(Severity.WARNING, "not_hounsfield", text))
    return found


def _storage(s: Slice) -> tuple[object, ...]:
    return s.form.bits_allocated, s.form.bits_stored, s.form.high_bit, s.form.signed
