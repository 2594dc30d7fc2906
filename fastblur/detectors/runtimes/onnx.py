"""Networks run by ONNX Runtime on the CPU: modules exported once, and sessions."""

import ctypes
import os
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from fastblur._version import __version__
from fastblur.files import AtomicFile, cache_folder
from fastblur.need import need

OPSET = 17

_making = Lock()  # torch exports one model at a time


def exported(name: str, module: nn.Module, sha256: str) -> bytes:
    """Return `module` as an ONNX model with batch, height and width left open, exported once and kept in the cache.

    Args:
        name: of the detector.
        module: in evaluation mode, on the CPU; takes (B, 3, h, w) float32 and returns a tuple of tensors.
        sha256: of the weights in it.
    """
    version = torch.__version__.partition("+")[0]
    return kept(f"{name}-{sha256[:16]}-fastblur{__version__}-torch{version}-opset{OPSET}", lambda: _export(module))


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the ONNX model that the cache has by a name, or else what `make` makes, which the cache then has.

    It is written whole or not at all. A cache folder that cannot be written costs making it each time, nothing else.

    Args:
        name: says all that the model depends on: the detector, the weights' hash, the versions of what makes it.
        make: makes the model.
    """
    path = cache_folder() / "onnx" / f"{name}.onnx"
    if path.is_file():
        return path.read_bytes()
    with _making:
        if path.is_file():  # made while this thread waited
            return path.read_bytes()
        data = make()
        with suppress(OSError), AtomicFile(path) as file:
            file.write(data)
    return data


def _export(module: nn.Module) -> bytes:
    example = torch.zeros(2, 3, 64, 96, dtype=torch.float32)
    with torch.no_grad():
        heads = module(example)
    names = [f"head{i}" for i in range(len(heads))]
    # A head is (B, channels, rows, columns) or (B, anchors, values).
    axes = {
        name: {0: "batch", **({2: "rows", 3: "columns"} if head.ndim == 4 else {1: "anchors"})}
        for name, head in zip(names, heads, strict=True)
    }
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the exporter by tracing is called old; the newer one needs another package
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            module,
            (example,),
            path,
            input_names=["images"],
            output_names=names,
            dynamic_axes={"images": {0: "batch", 2: "height", 3: "width"}, **axes},
            opset_version=OPSET,
            dynamo=False,
        )
        return path.read_bytes()


class Session:
    """An ONNX model on the CPU, called like the network it holds; many threads may call it at once.

    In a forked process, where the threads of its parent are not, it uses one thread.

    Args:
        model: its bytes.
        threads: how many threads one call uses, at least 1.
        later: whether it is loaded with the first call, and not at once.
    """

    def __init__(self, model: bytes, threads: int = 1, *, later: bool = False) -> None:
        self._model, self._threads = model, threads
        self._session: Any = None
        self._opening = Lock()
        SESSIONS.add(self)
        if not later:
            self._opened()

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w) float32 on the CPU -> the heads."""
        session = self._session or self._opened()
        heads: list[Any] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        return [torch.from_numpy(head) for head in heads]

    def _opened(self) -> Any:
        """Return ONNX Runtime's session, made if it is not there."""
        with self._opening:
            if self._session is None:
                self._session = _open(self._model, self._threads)
                if self._threads == 1:
                    self._model = b""  # no fork will ask for it
            return self._session

    def _after_fork(self) -> None:
        self._opening = Lock()  # another thread of the parent may have had it
        if self._session is not None:
            # Its end would wait for threads that are not here, or crash: a reference of nobody keeps it for ever.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            if self._threads > 1:
                self._session, self._threads = None, 1


SESSIONS: "WeakSet[Session]" = WeakSet()


def _after_fork() -> None:
    global _making
    _making = Lock()  # another thread of the parent may have had it
    for session in list(SESSIONS):
        session._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _open(model: bytes, threads: int) -> Any:
    # ONNX Runtime's official builds report their use to Microsoft unless this is set before they are imported (or,
    # in part, switched off afterwards). A program that hides faces talks to nobody.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    onnxruntime = need("onnxruntime", "run")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Its threads wait for work in a busy loop during a call, and sleep when it ends: PyTorch's threads, which
    # letterbox and decode between calls, then do not compete with them.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
