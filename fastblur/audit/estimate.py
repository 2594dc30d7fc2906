"""What a judged random sample says of all images."""

from fastblur.errors import UsageError
from fastblur.need import need

CONFIDENCE = 0.95


def upper_bound(shown: int, judged: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact (Clopper-Pearson) one-sided upper bound of a share: 1.0 where nothing was judged.

    Args:
        shown: the judged images that still show a face.
        judged: the images of the random sample that were judged.
        confidence: how often, over many samples, the true share lies under the bound.

    Raises UsageError where the counts contradict each other or `confidence` is not between 0 and 1, and MissingPackage
    without SciPy.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934): the bound is a quantile of the beta distribution.

    Example:
        >>> round(upper_bound(0, 500), 5)
        0.00597
    """
    if not 0 <= shown <= judged:
        raise UsageError(f"{shown} of {judged} images cannot show a face, expected 0 to {judged} of them")
    if not 0 < confidence < 1:
        raise UsageError(f"the confidence is {confidence}, expected a number between 0 and 1, as 0.95")
    if shown == judged:
        return 1.0
    return float(need("scipy.stats", "audit").beta.ppf(confidence, shown + 1, judged - shown))
