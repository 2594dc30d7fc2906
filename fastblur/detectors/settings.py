"""What a user may choose about a detector, checked when it is chosen."""

from dataclasses import dataclass
from os import PathLike

import torch

from fastblur.errors import UsageError
from fastblur.options import Channels, DetectorEngine, check_choice, is_number, is_whole


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """The settings of a detector; None leaves one to the detector.

    Attributes:
        device: where the network runs.
        weights: the weights' file; None looks in the places that `fastblur.detectors.weights.places` lists, and
            downloads what is in none of them.
        threshold: the least score of a region, in 0..1.
        detect_size: the longest side in pixels that the network sees; larger images are scaled down to it, none is
            ever enlarged.
        engine: "torch", or "onnx" for ONNX Runtime on the CPU; None: "onnx" on the CPU, "torch" elsewhere.
        threads: how many threads the engine "onnx" uses for one call; None: torch.get_num_threads(). Programs that
            call the detector from many threads at once do best with 1.
        half: whether the network runs in float16 (engine "torch"); None: on CUDA, where the detector's boxes stay the
            same to half a pixel, as docs/detectors.md shows.
        graph: whether a CUDA graph is recorded the first time that an input size (batch, height, width) is seen, and
            replayed from then on; the last 8 sizes are kept. For inputs of few sizes.
        channels: the order of the images' colours: "rgb", or "bgr" for those that OpenCV has read.

    Raises UsageError (a ValueError) for a setting out of range, or one that does not go with the others.

    Example:
        >>> from fastblur.detectors import DetectorSettings
        >>> DetectorSettings(detect_size=640, threshold=0.4).engine
        'onnx'
    """

    device: torch.device | str = "cpu"
    weights: str | PathLike[str] | None = None
    threshold: float | None = None
    detect_size: int | None = None
    engine: DetectorEngine | None = None
    threads: int | None = None
    half: bool | None = None
    graph: bool = False
    channels: Channels = "rgb"

    def __post_init__(self) -> None:
        try:
            device = torch.device(self.device)
        except (RuntimeError, TypeError):
            raise UsageError(f"device is {self.device!r}, expected one of torch's, as 'cpu' or 'cuda:0'") from None
        if self.weights is not None and not isinstance(self.weights, (str, PathLike)):
            raise UsageError(f"weights is {self.weights!r}, expected the path of a file")
        engine = self.engine or ("onnx" if device.type == "cpu" else "torch")
        object.__setattr__(self, "device", device)
        object.__setattr__(self, "engine", engine)
        check_choice("engine", engine, DetectorEngine)
        check_choice("channels", self.channels, Channels)
        if engine == "onnx" and device.type != "cpu":
            raise UsageError(f"engine is 'onnx' on device {str(device)!r}, expected 'torch' or device 'cpu'")
        if self.half and engine != "torch":
            raise UsageError(f"half is {self.half!r} with engine {engine!r}, expected engine 'torch'")
        if self.graph and (engine != "torch" or device.type != "cuda"):
            raise UsageError(
                f"graph is {self.graph!r} with engine {engine!r} on device {str(device)!r}, "
                "expected engine 'torch' on a CUDA device"
            )
        if self.threshold is not None:
            if not is_number(self.threshold) or not 0 <= self.threshold <= 1:
                raise UsageError(f"threshold is {self.threshold!r}, expected a number in 0..1")
            object.__setattr__(self, "threshold", float(self.threshold))  # NumPy's numbers too
        for name in ("detect_size", "threads"):
            number = getattr(self, name)
            if number is None:
                continue
            if not is_whole(number) or number < 1:
                raise UsageError(f"{name} is {number!r}, expected an int >= 1 or None")
            object.__setattr__(self, name, int(number))

    def check_device_is_there(self) -> None:
        """Raise UsageError for a CUDA device that this machine, or the installed PyTorch, does not have.

        Not done when settings are made: they may be for another machine.
        """
        device = torch.device(self.device)
        if device.type != "cuda":
            return
        count = torch.cuda.device_count()  # which lets children that are forked later still use CUDA
        if (device.index or 0) >= count:
            there = f"has {count}" if count else "has none, or the installed PyTorch has no CUDA"
            raise UsageError(
                f"device is {str(device)!r}, but this machine {there}, expected one that is there, or 'cpu'"
            )
