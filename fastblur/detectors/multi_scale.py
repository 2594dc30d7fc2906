"""Which sizes the network sees an image at, and which images go through it together: pure functions on shapes."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

CHUNK_PIXELS = 1 << 18  # of network input at once on the CPU: its feature maps then stay near the caches of one core
TWO_PASS_SIZE = 512  # longest side above which the network sees an image a second time
COARSE_SIZE = 320  # longest side of an image in that second pass


def fit_within(size: Size, longest: int | None) -> Size:
    """Return the size whose longer side is at most `longest`, in the same proportions; never larger than it was."""
    height, width = size
    scale = 1.0 if longest is None else min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def canvas_of(sizes: Sequence[Size], multiple: int) -> Size:
    """Return the least size that holds all `sizes` and whose sides are multiples of `multiple`."""
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def pass_sizes(
    sizes: Sequence[Size],  # of the images
    longest: int | None,  # that the network sees, in pixels; None: the images' own
) -> list[list[Size]]:
    """Return for each pass through the network the sizes at which it sees the images.

    The networks miss faces of more than about 400 pixels, so there is a second, coarse pass where they see an image of
    more than TWO_PASS_SIZE.
    """
    fine = [fit_within(size, longest) for size in sizes]
    if max(max(size) for size in fine) <= TWO_PASS_SIZE:
        return [fine]
    return [fine, [fit_within(size, COARSE_SIZE) for size in sizes]]


class Piece(NamedTuple):
    """The images `start` to `stop` (exclusive) of stack number `stack`."""

    stack: int
    start: int
    stop: int


def groups_of_equal_canvas(
    counts: Sequence[int],  # images in each stack
    sizes: Sequence[Size],  # of the images of each stack
    longest: int | None,  # that the network sees, in pixels; None: the images' own
    multiple: int,  # of which the sides of the network's input are multiples
) -> list[list[Piece]]:
    """Return groups of images that need the same canvas in every pass, each of CHUNK_PIXELS at most (or one image).

    What the network answers for an image then does not depend on the images that came with it.
    """
    groups: list[list[Piece]] = []
    growing: dict[tuple[Size, ...], list[Piece]] = {}
    for stack, (count, size) in enumerate(zip(counts, sizes, strict=True)):
        canvases = tuple(canvas_of(seen, multiple) for seen in pass_sizes([size], longest))
        most = max(1, CHUNK_PIXELS // (canvases[0][0] * canvases[0][1]))
        for start in range(0, count, most):
            piece = Piece(stack, start, min(start + most, count))
            group = growing.get(canvases)
            if group is None or images_in(group) + images_in([piece]) > most:
                group = growing[canvases] = []
                groups.append(group)
            group.append(piece)
    return groups


def images_in(group: Sequence[Piece]) -> int:
    """Return how many images a group has."""
    return sum(piece.stop - piece.start for piece in group)


def image_indices(
    groups: Sequence[Sequence[Piece]],
    counts: Sequence[int],  # images in each stack
) -> list[int]:
    """Return for each image, in the order of the groups, its index among all images of all stacks."""
    firsts = [sum(counts[:stack]) for stack in range(len(counts))]
    return [firsts[piece.stack] + i for group in groups for piece in group for i in range(piece.start, piece.stop)]
