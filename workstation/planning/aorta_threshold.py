"""The largest diameter of an aorta beside the threshold at which repair is considered. mm."""

from __future__ import annotations

from typing import Literal

from hemodynamics.rupture import MODELS, aortic_diameter
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent
from segmentation.measured import Measured

RULE = next(model for model in MODELS if model.compute is aortic_diameter)
NOT_A_RISK = "The threshold is a rule of a guideline, not a probability of rupture, and no decision"


def aorta_threshold(
    diameters: Measured,
    *,
    female: bool | None = None,
    site: Literal["infrarenal", "elsewhere"] | None = None,
    progress: Progress = silent,
) -> Measurements:
    """Set the largest diameter of an aorta beside the threshold at which repair is considered.

    The threshold is that of infrarenal aneurysms of adults. Nothing is assumed: without sex and
    site, or elsewhere in the aorta, there is none.

    Args:
        female: Whether the patient is a woman.
        site: Whether the aneurysm lies below the renal arteries.

    Raises:
        ValueError: if the aorta was not measured.
    """
    progress(1.0)
    size = next((n for n in diameters.numbers if n.quantity == "maximum_diameter"), None)
    if size is None:
        raise ValueError("there is no largest diameter; measure the diameters of the aorta first")
    lacks = [words for words, fact in (("sex", female), ("site", site)) if fact is None]
    if female is None or lacks:
        text = f"The diameter stands beside no threshold; not known: {', '.join(lacks)}"
        remedy = "Enter what is known of the patient"
        return Measurements((), (Finding(Severity.INFO, "threshold_inputs", text, remedy=remedy),))
    if site == "elsewhere":
        text = f"No threshold is known here but that of {RULE.population}"
        return Measurements((), (Finding(Severity.INFO, "threshold_elsewhere", text),))
    score = aortic_diameter(diameter_mm=size.value, female=female)
    threshold = float(score.details["threshold_mm"])
    low, high = (None if end is None else threshold - end for end in (size.high, size.low))
    who = "women" if female else "men"
    source = f"{RULE.source}; {RULE.population}, {who}"
    numbers = (
        Number("threshold", threshold, "mm", source),
        Number("to_threshold", threshold - size.value, "mm",
               "threshold - largest diameter; band: that of the diameter", low, high),
    )  # fmt: skip
    notes = [Finding(Severity.INFO, "threshold_rule", NOT_A_RISK)]
    if size.low is not None and size.high is not None and size.low < threshold <= size.high:
        text = (
            f"The threshold of {threshold:g} mm lies within the band of the largest diameter, "
            f"{size.low:.1f} to {size.high:.1f} mm"
        )
        return Measurements(numbers, (Finding(Severity.WARNING, "threshold_open", text), *notes))
    text = f"The largest diameter of {size.value:.1f} mm is {score.label}"
    reached = Severity.WARNING if size.value >= threshold else Severity.INFO
    return Measurements(numbers, (Finding(reached, "threshold", text), *notes))
