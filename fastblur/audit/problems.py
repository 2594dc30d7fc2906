"""What an audit found to be wrong, image by image, and the numbers of it."""

import threading
from collections import Counter
from typing import Literal, NamedTuple

Kind = Literal["missing", "extra", "changed", "not hidden", "changed outside", "journal", "twice"]
"""What may be wrong with an image of an output."""

MOST = 1000  # that are named; the others are counted


class Problem(NamedTuple):
    """What is wrong with an image.

    Attributes:
        image: its name; "" where it is about a shard.
        shard: its shard's name.
        kind: of the problem.
        sentence: what was found and what was expected.
    """

    image: str
    shard: str
    kind: Kind
    sentence: str


class Problems:
    """A list of problems that several threads add to; it names the first `MOST`.

    Attributes:
        named: those.
        counts: how many there are of each kind.
    """

    def __init__(self) -> None:
        self.named: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, image: str, shard: str, kind: Kind, sentence: str) -> None:
        """Add a problem."""
        with self._lock:
            self.counts[kind] += 1
            if len(self.named) < MOST:
                self.named.append(Problem(image, shard, kind, sentence))

    @property
    def left_out(self) -> int:
        """How many problems are counted and not named."""
        return sum(self.counts.values()) - len(self.named)
