"""The detectors' names, and the settings with which they are loaded."""

import subprocess
import sys
from typing import get_args

import pytest
import torch

from fastblur.detectors import DEFAULT_DETECTOR, DetectorName, DetectorSettings
from fastblur.detectors.networks.spec import Network
from fastblur.detectors.registry import network_of
from fastblur.detectors.weights import WEIGHTS
from fastblur.errors import UsageError

NAMES = get_args(DetectorName)


def test_every_name_has_a_network_and_weights():
    assert all(isinstance(network_of(name), Network) for name in NAMES)
    assert len({id(network_of(name)) for name in NAMES}) == len(NAMES)
    assert tuple(WEIGHTS) == NAMES
    assert DEFAULT_DETECTOR in NAMES


def test_an_unknown_name_is_a_usage_error():
    with pytest.raises(UsageError, match=r"detector is 'ssd', expected 'centerface', .* or 'yunet'"):
        network_of("ssd")


def test_names_and_weights_are_there_without_torch():
    code = (
        "import sys; from fastblur.detectors import DetectorName; from fastblur.detectors.weights import WEIGHTS; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_are_frozen_and_fill_in_what_depends_on_no_network():
    settings = DetectorSettings()
    assert (settings.device, settings.engine) == (torch.device("cpu"), "onnx")
    assert DetectorSettings(device="meta").engine == "torch"
    assert settings.threshold is settings.detect_size is settings.half is None
    with pytest.raises(AttributeError):
        settings.threshold = 0.5


def test_an_unknown_setting_is_a_type_error():
    with pytest.raises(TypeError, match="score_threshold"):
        DetectorSettings(score_threshold=0.5)
