"""Blur a file's images in place, once for every line on standard input, and print the processor seconds of each round.

Run by path with a checkout in PYTHONPATH, by benchmarks.compare_trees: it imports nothing else of the benchmarks, which
may differ there.
"""

import pickle
import sys
import time
from pathlib import Path

import torch

import fastblur


def main() -> None:
    torch.set_num_threads(1)
    pixels, boxes = pickle.loads(Path(sys.argv[1]).read_bytes())  # lists of (H, W, 3) uint8, (n, 4) xyxy px
    images = [torch.from_numpy(one.copy()).permute(2, 0, 1) for one in pixels]
    regions = [fastblur.Regions.from_boxes([rows]) for rows in boxes]
    print(fastblur.__file__, flush=True)
    for _ in sys.stdin:
        begin = time.process_time()
        for image, region in zip(images, regions, strict=True):
            fastblur.blur(image, region, "ilsvrc", out=image)
        print(time.process_time() - begin, flush=True)


if __name__ == "__main__":
    main()
