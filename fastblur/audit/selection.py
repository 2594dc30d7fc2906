"""Which images of a run people should look at: a random sample, near misses, and regions with low scores."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heappush, heapreplace
from typing import Any

from fastblur.pipeline.images.near_misses import HIDDEN_SHARE, ROW, from_journal, share_within, to_journal

SIZE_EDGES = [2.0 ** (exponent / 2) for exponent in range(4, 27)]  # px of a region's longer side
SCORE_BINS = 20
STRATA = ("hidden", "copied")


@dataclass
class Chosen:
    """An image that people should look at.

    Attributes:
        line: what the journal says of it.
        shard: its shard's name.
        place: its place among the written images of its shard.
        container: whether the shard is a tar or table.
        found: why: "sample", "near miss", "lowest".
    """

    line: dict[str, Any]
    shard: str
    place: int
    container: bool
    found: list[str] = field(default_factory=list)


class Best:
    """The entries with the highest ranks, at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[Any, int, Chosen]] = []
        self._count = 0  # so that entries of one rank are not compared

    def wants(self, rank: Any) -> bool:
        """Return whether an entry of this rank would be kept by now."""
        return len(self._heap) < self._most or (self._most > 0 and rank > self._heap[0][0])

    def add(self, rank: Any, one: Chosen) -> None:
        """Add an entry that `wants` wants."""
        self._count += 1
        if len(self._heap) < self._most:
            heappush(self._heap, (rank, -self._count, one))
        else:
            heapreplace(self._heap, (rank, -self._count, one))

    def best(self, most: int | None = None) -> list[Chosen]:
        """Return the entries from the highest rank down."""
        return [one for _, _, one in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)][:most]


def _still_near(line: dict[str, Any]) -> list[int]:
    """Return the near misses of an image, as the journal has them, without those that `correct` has hidden since."""
    return to_journal(
        [
            (box, score)
            for box, score in from_journal(line["near"])
            if sum(share_within(box, region) for region in line["boxes"]) < HIDDEN_SHARE
        ]
    )


class Selection:
    """Chooses images in one pass over the journal.

    The sample is drawn by a hash of each name and the seed: the same images whatever the order of the shards, and any
    image with the same chance. It is stratified: of hidden and of copied images as many as their shares say.

    Args:
        sample: how many images to draw.
        seed: of the sample.
        gallery: how many images with near misses, and with low scores, to take.

    Attributes:
        population: how many images were written as hidden and as copied.
        near_misses, near_misses_images: how many there are, and in how many images.
        sizes, scores: histograms of all hidden regions: longer sides by SIZE_EDGES, where the first and last take
            those beyond, and scores in SCORE_BINS of 0..1.
    """

    def __init__(self, sample: int, seed: int, gallery: int) -> None:
        self.sample, self.seed = sample, seed
        self.population = dict.fromkeys(STRATA, 0)
        self.near_misses = self.near_misses_images = 0
        self.sizes = [0] * (len(SIZE_EDGES) - 1)
        self.scores = [0] * SCORE_BINS
        self._drawn = {fate: Best(sample) for fate in STRATA}
        self._near, self._lowest = Best(gallery), Best(gallery)
        self._key = seed.to_bytes(16, "big", signed=True)

    def consider(self, line: dict[str, Any], shard: str, place: int, container: bool) -> None:
        """Take an image that was written into account."""
        fate, name = line["fate"], line["path"]
        self.population[fate] += 1
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).digest()
        if "near" in line and "corrected" in line and fate == "hidden":
            line = {**line, "near": _still_near(line)}
        near, scores = line.get("near"), line.get("scores") if fate == "hidden" else None
        if self._drawn[fate].wants(digest):
            self._drawn[fate].add(digest, Chosen(line, shard, place, container))
        if near:
            self.near_misses += len(near) // ROW
            self.near_misses_images += 1
            best = max(near[ROW - 1 :: ROW])
            if self._near.wants(best):
                self._near.add(best, Chosen(line, shard, place, container))
        if scores and (known := [score for score in scores if score is not None]):
            rank = -min(known)
            if self._lowest.wants(rank):
                self._lowest.add(rank, Chosen(line, shard, place, container))
            for score in known:
                self.scores[min(int(score * SCORE_BINS), SCORE_BINS - 1)] += 1
        if fate == "hidden":
            for x0, y0, x1, y1 in line["boxes"]:
                place = bisect_right(SIZE_EDGES, max(x1 - x0, y1 - y0)) - 1
                self.sizes[min(max(place, 0), len(self.sizes) - 1)] += 1

    def drawn(self) -> dict[str, int]:
        """Return how many images of each stratum the sample has."""
        total = sum(self.population.values())
        size = min(self.sample, total)
        hidden = round(size * self.population["hidden"] / total) if total else 0
        copied = min(size - hidden, self.population["copied"])
        return {"hidden": size - copied, "copied": copied}

    def chosen(self) -> list[Chosen]:
        """Return the images: near misses by score, then those with the lowest scores, then the rest of the sample."""
        found: dict[str, Chosen] = {}
        for reason, one in self._by_reason():
            found.setdefault(one.line["path"], one).found.append(reason)
        return list(found.values())

    def _by_reason(self) -> Iterator[tuple[str, Chosen]]:
        for one in self._near.best():
            yield "near miss", one
        for one in self._lowest.best():
            yield "lowest", one
        for fate, count in self.drawn().items():
            for one in self._drawn[fate].best(count):
                yield "sample", one
