"""Detectors: images in, Regions out. What needs torch is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastblur.detectors.registry import DEFAULT_DETECTOR, DetectorName

if TYPE_CHECKING:
    from fastblur.detectors.custom import FaceDetector
    from fastblur.detectors.detector import Detector, load_detector
    from fastblur.detectors.settings import DetectorSettings
    from fastblur.detectors.weights import WeightsError, WeightsNotFound, WrongWeights

__all__ = [
    "DEFAULT_DETECTOR",
    "Detector",
    "DetectorName",
    "DetectorSettings",
    "FaceDetector",
    "WeightsError",
    "WeightsNotFound",
    "WrongWeights",
    "load_detector",
]

_HOME = {
    "Detector": "detector",
    "load_detector": "detector",
    "DetectorSettings": "settings",
    "FaceDetector": "custom",
    "WeightsError": "weights",
    "WeightsNotFound": "weights",
    "WrongWeights": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fastblur.detectors' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"fastblur.detectors.{_HOME[name]}"), name)
    return value
