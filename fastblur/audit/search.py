"""The harder search: more looks at an image than a run takes, and what is found there outside the hidden regions.

A detector looks at each of the `views` from half its threshold on. Boxes of all views that overlap are one candidate.
What is a face is found again and again; so a candidate's evidence is the mean, over the views, of its best score in
each as a multiple of the threshold, 0 where it was not found. `python -m benchmarks.audit search` has the figures by
which the least evidence of a suspect was chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, get_args

import numpy as np

from fastblur.audit.views import View, views
from fastblur.boxes import Boxes
from fastblur.codecs.picture import Pixels
from fastblur.detectors import DEFAULT_DETECTOR, Detector, DetectorName, load_detector
from fastblur.detectors.registry import network_of
from fastblur.detectors.weights import places
from fastblur.pipeline.images.near_misses import share_within

LEAST_EVIDENCE = 0.65  # of a suspect, by the detector of the run
LEAST_EVIDENCE_OF_SECOND = 1.6  # by the second detector alone, which takes more for faces that are none
SAME = 0.35  # intersection over union from which on two boxes are one candidate
HIDDEN_SHARE = 0.5  # of a candidate's area in the hidden regions, from which on it is hidden
SECOND: tuple[DetectorName, ...] = ("yunet", "retinaface-mobilenet0.25", "centerface")
MOST = 32  # suspects of an image


class Suspect(NamedTuple):
    """What may be a face that still shows.

    Attributes:
        box: xyxy px of the upright image.
        score: the highest that it got.
        evidence: see the module.
        found_by: the views in which it was found, for people.
    """

    box: list[float]
    score: float
    evidence: float
    found_by: str


@dataclass
class Candidate:
    """Boxes that overlap, of one detector.

    Attributes:
        box: the one with the highest score, (4,) xyxy px.
        score: its score.
        best: the best score in each view that has one.
    """

    box: np.ndarray
    score: float
    best: dict[str, float] = field(default_factory=dict)


class HarderSearch:
    """Looks at images with the detector of a run, and with a second one whose weights are here.

    Args:
        detector: name of the run's; None for the default one, where the run had none.
        threshold: of the run; None for the detector's own.
        device: "cpu" or "cuda".

    Attributes:
        threshold: from which score on the run's detector looks.
        names: of the detectors.
    """

    def __init__(self, detector: DetectorName | None, threshold: float | None, device: str) -> None:
        first = detector if detector in get_args(DetectorName) and detector is not None else DEFAULT_DETECTOR
        usual = network_of(first).threshold
        self.threshold = min(usual, usual if threshold is None else threshold) / 2
        self._detectors = [(self._load(first, self.threshold, device), usual, LEAST_EVIDENCE)]
        second = next((n for n in SECOND if n != first and any(path.is_file() for path in places(n))), None)
        if second is not None:
            usual = network_of(second).threshold
            self._detectors.append((self._load(second, usual / 2, device), usual, LEAST_EVIDENCE_OF_SECOND))
        self.names: list[str] = [one.name for one, _, _ in self._detectors]

    def suspects(
        self,
        pixels: Pixels,  # (h, w, 3) upright RGB
        hidden: Sequence[Sequence[float]],  # (n, 4) xyxy px of the upright image
    ) -> list[Suspect]:
        """Return what may be a face outside the hidden regions, the most likely first."""
        seen = list(views(pixels))
        found: list[Suspect] = []
        for detector, usual, least in self._detectors:
            for one in candidates(detector, seen):
                evidence = sum(one.best.values()) / usual / len(seen)
                box = one.box.tolist()
                taken = [*hidden, *(other.box for other in found)]
                if evidence < least or sum(share_within(box, other) for other in taken) >= HIDDEN_SHARE:
                    continue
                looks = sorted(one.best, key=lambda view: -one.best[view])
                how = f"{detector.name}: {', '.join(looks)}"
                found.append(Suspect(box, round(one.score, 3), round(evidence, 3), how))
        return sorted(found, key=lambda one: -one.evidence)[:MOST]

    @staticmethod
    def _load(name: DetectorName, threshold: float, device: str) -> Detector:
        return load_detector(name, threshold=threshold, device=device, threads=1)


def candidates(detector: Detector, seen: Sequence[View]) -> list[Candidate]:
    """Return what a detector finds in the views of an image, boxes that overlap together."""
    import torch

    boxes: list[Boxes] = []
    scores: list[float] = []
    where: list[str] = []
    for view in seen:
        regions = detector([torch.from_numpy(view.pixels).permute(2, 0, 1).to(detector.device)]).to("cpu")
        assert regions.scores is not None
        if len(own := regions[0]):
            boxes.append(view.back(own.numpy()))
            scores += regions.scores[0, : len(own)].tolist()
            where += [view.name] * len(own)
    if not boxes:
        return []
    every = np.concatenate(boxes)
    left = np.argsort(-np.array(scores), kind="stable")
    found = []
    while len(left):
        same = overlaps(every[left[0]], every[left]) >= SAME
        same[0] = True  # also where it has no area
        one = Candidate(every[left[0]], scores[left[0]])
        for i in left[same]:
            one.best[where[i]] = max(one.best.get(where[i], 0.0), scores[i])
        found.append(one)
        left = left[~same]
    return found


def overlaps(
    box: np.ndarray,  # (4,) xyxy
    boxes: Boxes,  # (n, 4)
) -> np.ndarray:  # (n,)
    """Return the intersection over union of a box with each of the others."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    inter = (high - low).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    result: np.ndarray = inter / np.maximum((box[2:] - box[:2]).prod() + areas - inter, 1e-9)
    return result
