"""ONNX models of fixed size, made dynamic in batch, height and width."""

import os
from pathlib import Path

from fastblur.detectors.weights import WrongWeights
from fastblur.need import need


def dynamic_graph(model: str | os.PathLike[str] | bytes) -> bytes:
    """Return an ONNX model with batch, height and width left open.

    The first, third and fourth dimension of every four-dimensional input and output become symbolic, and initializers
    leave the list of inputs, where they would count as values that may change and keep ONNX Runtime from folding and
    fusing (CenterFace then takes half the time).

    Args:
        model: an ONNX file, or its bytes.

    Raises OSError for a file that cannot be read, WrongWeights (a ValueError) for one that is no ONNX model,
    MissingPackage where onnx is not installed.
    """
    onnx = need("onnx", "run")
    data = model if isinstance(model, bytes) else Path(model).read_bytes()
    try:
        proto = onnx.load_model_from_string(data)
        onnx.checker.check_model(proto)
    except Exception as error:  # protobuf's own, which has no public name here, or onnx's checker's
        what = "these bytes are" if isinstance(model, bytes) else f"{os.fspath(model)!r} is"
        raise WrongWeights(f"{what} no ONNX model ({str(error).partition(chr(10))[0]})") from error
    graph = proto.graph
    initializers = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    del graph.input[:]
    graph.input.extend(inputs)
    for values, prefix in ((graph.input, ""), (graph.output, "head_")):
        for value in values:
            shape = value.type.tensor_type.shape.dim
            if len(shape) == 4:
                for axis, name in ((0, "batch"), (2, f"{prefix}height"), (3, f"{prefix}width")):
                    shape[axis].dim_param = name
    return bytes(proto.SerializeToString())
