"""CUDA graphs: a network's launches, recorded once for each size of input and replayed as one."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import torch
from torch import Tensor

from fastblur.detectors.networks.spec import Forward

SIZES = 8  # of the input (batch, height and width together) whose graphs are kept
WARM_UP = 3  # runs before the recording, in which cuDNN chooses its algorithms and libraries take their memory


class CudaGraphCache:
    """A network called as it is, whose launches are recorded for the last `SIZES` shapes of input and then replayed.

    What is recorded reads and writes memory of its own, so inputs are copied in and heads copied out. Many threads may
    call it at once, on any streams. Under `torch.compile`, and where the caller records a graph, the network itself is
    called.

    Args:
        forward: the network; what it launches must depend on nothing but the input's shape.
        record: makes of a network and an input what replays it; a `CudaGraphRecorder` unless a test brings another.
    """

    def __init__(self, forward: Forward, record: Callable[[Forward, Tensor], Forward] | None = None) -> None:
        self._forward = forward
        self._record = record or CudaGraphRecorder()
        self._recorded: OrderedDict[torch.Size, Forward] = OrderedDict()
        self._lock = Lock()

    def __call__(self, x: Tensor) -> Sequence[Tensor]:
        """(B, 3, h, w) -> the heads, as the network itself gives them."""
        if torch.compiler.is_compiling() or (x.is_cuda and torch.cuda.is_current_stream_capturing()):
            return self._forward(x)
        with self._lock:
            replay = self._recorded.pop(x.shape, None) or self._record(self._forward, x)
            self._recorded[x.shape] = replay  # the one used last is the last one
            if len(self._recorded) > SIZES:  # the recording has waited for the device: nothing runs that goes here
                self._recorded.popitem(last=False)
            return replay(x)


class CudaGraphRecorder:
    """Records CUDA graphs that share one pool of memory, which is safe because they run one after the other."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._last_replay: torch.cuda.Event | None = None  # done when its heads have been copied out

    def __call__(self, forward: Forward, x: Tensor) -> Forward:
        """Return what replays `forward` for inputs of the shape of `x`. Waits for the device."""
        # Outside inference mode, where its memory could not be written again.
        with torch.cuda.device(x.device), torch.inference_mode(False), torch.no_grad():
            torch.cuda.synchronize()
            held, graph = torch.empty_like(x).copy_(x), torch.cuda.CUDAGraph()
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    forward(held)
            # thread_local: what other threads do on the device meanwhile does not fail the recording.
            with torch.cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"):
                heads = forward(held)

        def replay(x: Tensor) -> Sequence[Tensor]:
            with torch.cuda.device(x.device):
                stream = torch.cuda.current_stream()
                if self._last_replay is not None:
                    stream.wait_event(self._last_replay)
                held.copy_(x)
                graph.replay()
                copies = [head.clone() for head in heads]
                self._last_replay = stream.record_event()
            return copies

        return replay
