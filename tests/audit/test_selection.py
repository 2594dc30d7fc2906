"""Which images are drawn: stratified, seeded, and whatever the order of the journal."""

import random
from typing import Any

from fastblur.audit.selection import Selection


def line(number: int, *, near: list[int] = [], scores: list[float] = []) -> dict[str, Any]:  # noqa: B006
    fate = "hidden" if number % 4 == 0 else "copied"
    found: dict[str, Any] = {"path": f"{number}.jpg", "fate": fate, "boxes": []}
    if fate == "hidden":
        found |= {"boxes": [[0, 0, 20, 30]] * max(1, len(scores)), "scores": scores or [0.9]}
    return found | ({"near": [n for score in near for n in (1, 2, 3, 4, score)]} if near else {})


def select(lines: list[dict[str, Any]], sample: int = 40, seed: int = 0, gallery: int = 5) -> Selection:
    selection = Selection(sample, seed, gallery)
    for place, one in enumerate(lines):
        selection.consider(one, "shard", place, False)
    return selection


def names(selection: Selection, reason: str) -> list[str]:
    return [one.line["path"] for one in selection.chosen() if reason in one.found]


def test_both_strata_are_drawn_as_their_shares_say() -> None:
    lines = [line(number) for number in range(400)]
    selection = select(lines)
    assert selection.population == {"hidden": 100, "copied": 300}
    assert selection.drawn() == {"hidden": 10, "copied": 30}
    drawn = names(selection, "sample")
    assert len(drawn) == len(set(drawn)) == 40
    assert sum(int(name[:-4]) % 4 == 0 for name in drawn) == 10


def test_the_order_of_the_journal_makes_no_difference() -> None:
    lines = [line(number) for number in range(400)]
    first = names(select(lines), "sample")
    random.Random(1).shuffle(lines)
    assert set(names(select(lines), "sample")) == set(first)


def test_the_seed_makes_one() -> None:
    lines = [line(number) for number in range(400)]
    assert set(names(select(lines, seed=1), "sample")) != set(names(select(lines, seed=2), "sample"))
    assert set(names(select(lines, seed=-3), "sample")) == set(names(select(lines, seed=-3), "sample"))


def test_every_image_is_drawn_as_often() -> None:
    lines = [line(number) for number in range(40)]
    counts = dict.fromkeys((one["path"] for one in lines), 0)
    for seed in range(300):
        for name in names(select(lines, sample=8, seed=seed), "sample"):
            counts[name] += 1
    assert sum(counts.values()) == 300 * 8
    assert min(counts.values()) > 30
    assert max(counts.values()) < 95, "60 is the mean, 7 the deviation"


def test_a_sample_larger_than_the_run_is_all_of_it() -> None:
    selection = select([line(number) for number in range(7)], sample=500)
    assert selection.drawn() == {"hidden": 2, "copied": 5}
    assert len(names(selection, "sample")) == 7


def test_near_misses_and_low_scores() -> None:
    lines = [line(number, near=[10 + number, 10]) for number in range(1, 20, 2)]
    lines += [line(number, scores=[0.9, number / 100]) for number in range(20, 60, 4)]
    selection = select(lines, sample=0, gallery=3)
    assert names(selection, "near miss") == ["19.jpg", "17.jpg", "15.jpg"]
    assert names(selection, "lowest") == ["20.jpg", "24.jpg", "28.jpg"]
    assert (selection.near_misses, selection.near_misses_images) == (20, 10)
    assert sum(selection.scores) == sum(selection.sizes) == 20


def test_scores_of_boxes_that_people_gave_are_none() -> None:
    one = {"path": "a", "fate": "hidden", "boxes": [[0, 0, 9, 9], [0, 0, 8, 8]], "scores": [None, 0.4]}
    selection = select([one], gallery=1)
    assert names(selection, "lowest") == ["a"]
    assert sum(selection.scores) == 1
