"""What the codec of a file leaves of a result that is not rounded, and how coarse it is."""

import numpy as np

from fastblur.audit.formula import Levels, Window, levels, per_level
from fastblur.codecs import Picture, decode, encode
from fastblur.codecs.jpeg_segments import quantisation_tables, read_header

ENCODED = {(1, 1), (2, 1), (2, 2)}  # pixels of a sample of color, across and down, that `encode` writes
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
"""From RGB to luma and the two differences of color as JFIF has them (ITU-T T.871), without their offset."""


def as_coded(picture: Picture, window: Window, hidden: Levels) -> Levels:
    """Return a window of a picture as the codec gives it that was written with these levels in it."""
    pixels = picture.pixels.copy()
    most = np.iinfo(pixels.dtype).max
    pixels[window] = np.floor(hidden * np.float32(per_level(picture)) + np.float32(0.5)).clip(0, most)
    if picture.format == "JPEG" and picture.color == "RGB":
        pixels = _sampled(picture.source, pixels)
    return levels(decode(encode(picture, pixels)), window)


def coarsest_step(picture: Picture) -> float:
    """Return the largest value in a JPEG's quantisation tables; 0 for other files."""
    if picture.format != "JPEG":
        return 0.0
    return float(max(max(table) for table in quantisation_tables(read_header(picture.source))))


def _sampled(source: bytes, pixels: np.ndarray) -> np.ndarray:  # (H, W, 3) uint8, also the result
    """Return RGB pixels whose components have no more samples than in a JPEG file, where `encode` writes more."""
    header = read_header(source)
    sampling = [component[1:3] for component in header.components]
    most = [max(one[axis] for one in sampling) for axis in (0, 1)]
    units = [(max(1, most[0] // across), max(1, most[1] // down)) for across, down in sampling]
    if header.is_rgb or (units[0] == (1, 1) and units[1] == units[2] and units[1] in ENCODED):
        return pixels
    components = pixels.astype(np.float32) @ TO_YCC.T
    for number, (across, down) in enumerate(units):
        components[:, :, number] = _averaged(components[:, :, number], across, down)
    result: np.ndarray = np.rint(components @ np.linalg.inv(TO_YCC).T).clip(0, 255).astype(np.uint8)
    return result


def _averaged(plane: Levels, across: int, down: int) -> Levels:  # (H, W)
    """Return a plane of which each `across` x `down` pixels are their mean; pairs of rows are decoded as a ramp."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % down), (0, -width % across)), "edge")
    means = padded.reshape(padded.shape[0] // down, down, -1, across).mean((1, 3))
    if (across, down) == (1, 2):
        above, below = np.vstack((means[:1], means[:-1])), np.vstack((means[1:], means[-1:]))
        spread: Levels = np.stack((0.75 * means + 0.25 * above, 0.75 * means + 0.25 * below), 1).reshape(-1, width)
    else:
        spread = means.repeat(down, 0).repeat(across, 1)
    return spread[:height, :width]
