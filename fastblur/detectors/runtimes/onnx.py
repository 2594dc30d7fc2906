"""Networks run by ONNX Runtime on the CPU: modules exported once, and sessions."""

import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastblur._version import __version__
from fastblur.files import AtomicFile, cache_folder
from fastblur.need import need

OPSET = 17


def exported(name: str, module: nn.Module, sha256: str) -> bytes:
    """Return `module` as an ONNX model with batch, height and width left open, exported once and kept in the cache.

    The file's name holds the detector, the weights' hash, and the versions of all that made it; it is written whole or
    not at all. A cache folder that cannot be written costs a new export each time, nothing else.

    Args:
        name: of the detector.
        module: in evaluation mode, on the CPU; takes (B, 3, h, w) float32 and returns a tuple of tensors.
        sha256: of the weights in it.
    """
    version = torch.__version__.partition("+")[0]
    path = cache_folder() / "onnx" / f"{name}-{sha256[:16]}-fastblur{__version__}-torch{version}-opset{OPSET}.onnx"
    if path.is_file():
        return path.read_bytes()
    data = _export(module)
    with suppress(OSError), AtomicFile(path) as file:
        file.write(data)
    return data


def _export(module: nn.Module) -> bytes:
    example = torch.zeros(2, 3, 64, 96)
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

    Args:
        model: its bytes.
        threads: how many threads one call uses, at least 1.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
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
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w) float32 on the CPU -> the heads."""
        heads: list[Any] = self._session.run(None, {self._input: x.numpy()})
        return [torch.from_numpy(head) for head in heads]
