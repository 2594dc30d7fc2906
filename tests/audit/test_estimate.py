import pytest
from scipy import stats

from fastblur.audit.estimate import upper_bound
from fastblur.errors import UsageError


@pytest.mark.parametrize(("shown", "judged"), [(0, 1), (0, 500), (1, 500), (7, 40), (39, 40), (250, 10_000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_bound_is_where_so_few_become_unlikely(shown: int, judged: int, confidence: float) -> None:
    bound = upper_bound(shown, judged, confidence)
    assert stats.binom.cdf(shown, judged, bound) == pytest.approx(1 - confidence, rel=1e-9)


def test_the_bound_is_that_of_scipys_exact_interval() -> None:
    exact = stats.binomtest(3, 500, alternative="less").proportion_ci(0.95, method="exact").high
    assert upper_bound(3, 500) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("judged", [0, 1, 20])
def test_nothing_judged_or_every_image_with_a_face_bounds_nothing(judged: int) -> None:
    assert upper_bound(judged, judged) == 1.0


@pytest.mark.parametrize(("shown", "judged", "confidence"), [(2, 1, 0.95), (-1, 1, 0.95), (0, 1, 1.0), (0, 1, 0.0)])
def test_counts_that_cannot_be_are_refused(shown: int, judged: int, confidence: float) -> None:
    with pytest.raises(UsageError, match="expected"):
        upper_bound(shown, judged, confidence)
