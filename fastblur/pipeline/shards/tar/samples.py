"""Samples of a tar file: members that belong together, kept or left out as one."""

from dataclasses import dataclass, field, replace

from fastblur.codecs import OTHER_SUFFIXES, SUFFIXES, is_image
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.shards.tar.stream import Member, TarReader

SAMPLE_BYTES = 1 << 30  # of a sample's members: it must be held whole
OVERHEAD = 1024  # about what Python needs for a member beside its bytes


@dataclass(slots=True)
class Kept:
    """A member for the output.

    Attributes:
        head: its headers, as they were read.
        size: how many bytes they say that it has.
        data: its bytes; empty for an image, whose bytes are its item's result.
        image: the place of its item in the batch, or None.
        sample: the number of its sample in the batch; None for a member that is of no sample.
    """

    head: bytes
    size: int
    data: bytes = b""
    image: int | None = None
    sample: int | None = None


@dataclass(slots=True)
class Rest:
    """What the output wants to know of a batch.

    Attributes:
        gz: whether the tar is compressed.
        members: the batch's members, in their order, without those that are left out whatever comes.
        samples: the number of each item's sample, which is left out where the item fails; None where it fails alone.
        held: about how many bytes the members and images take.
    """

    gz: bool
    members: list[Kept] = field(default_factory=list)
    samples: list[int | None] = field(default_factory=list)
    held: int = 0


class Sample:
    """A sample that is being read, and members beside it that are of none."""

    def __init__(self, shard: str) -> None:
        self.key: str | None = None
        self.items: list[Item] = []
        self.held = 0
        self.again = False
        self._shard = shard
        self._problem = ""
        self._alone: list[bool] = []  # for each item, whether it fails alone
        self._members: list[Kept] = []
        self._names: set[str] = set()

    def add(self, number: int, member: Member, tar: TarReader) -> None:
        """Add a member of the sample; its data is read if need be."""
        if not self.again and member.name in self._names:
            self._refuse(number, member, "is a duplicate: the tar has a member of this name before it", alone=True)
            return
        self._names.add(member.name)
        if member.problem:
            self._refuse(number if self.again else 0, member, member.problem)
            self.spoil(f"its sample is left out because {member.name!r} {member.problem}")
        elif self.held + member.size > SAMPLE_BYTES:
            self.spoil(f"its sample is larger than {SAMPLE_BYTES >> 20} MiB")
        if self._problem:
            self.held += OVERHEAD
            if not member.problem and (_is_image(member) or all(self._alone)):
                self._refuse(number if self.again else 0, member, self._problem)
            return
        self._keep(member, tar, 0)

    def add_single(self, number: int, member: Member, tar: TarReader, names: set[str]) -> None:
        """Add a member that is of no sample; `names` are those of such files before it."""
        counts = member.is_file or bool(member.problem)  # folders may come again
        again = counts and member.name in names
        if counts:
            names.add(member.name)
        problem = member.problem
        if again:
            problem = problem or "is a duplicate: the tar has a member of this name before it"
        elif member.size > SAMPLE_BYTES:
            problem = problem or f"is larger than {SAMPLE_BYTES >> 20} MiB"
        if problem:
            self._refuse(number if again or not member.name else 0, member, problem, alone=True)
        else:
            self._keep(member, tar, None)

    def spoil(self, problem: str) -> None:
        """Leave the sample out; the first reason stands."""
        self._problem = self._problem or problem
        singles: list[Kept] = []
        for kept in self._members:
            if kept.sample is None:
                singles.append(kept)
            else:
                self.held -= kept.size
        self._members = singles
        self.items = [
            item if alone or item.problem is not None else replace(item, data=None, problem=self._problem)
            for item, alone in zip(self.items, self._alone, strict=True)
        ]

    def join(self, batch: Batch) -> None:
        """Add all to a batch."""
        rest: Rest = batch.rest
        first = len(batch.items)
        number = first + len(rest.members)  # each sample has an item or a member
        batch.items += self.items
        rest.samples += [None if alone else number for alone in self._alone]
        for kept in self._members:
            kept.image = None if kept.image is None else first + kept.image
            kept.sample = None if kept.sample is None else number
            rest.members.append(kept)
        rest.held += self.held

    def _keep(self, member: Member, tar: TarReader, sample: int | None) -> None:
        data = tar.read() if member.is_file else b""
        kept = Kept(member.head, member.size, data, None, sample)
        if _is_image(member) or is_image(data):
            kept.data, kept.image = b"", len(self.items)
            self.items.append(Item(self._name(member), data=data, key=member.name))
            self._alone.append(sample is None)
        self._members.append(kept)
        self.held += len(member.head) + member.size + OVERHEAD

    def _refuse(self, number: int, member: Member, problem: str, alone: bool = False) -> None:
        """Add an item for a member that is left out; a number makes a name unique that comes again."""
        name = self._name(member) + (f" (member {number})" if number else "")
        self.items.append(Item(name, problem=problem, key=member.name))
        self._alone.append(alone)
        self.held += OVERHEAD

    def _name(self, member: Member) -> str:
        return f"{self._shard}/{member.name}"


def _is_image(member: Member) -> bool:
    return member.is_file and member.name.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES))


def sample_key(member: Member) -> str | None:
    """Return WebDataset's key of the member: its name up to the first dot of its last part; None where it has none."""
    folder, slash, base = member.name.rpartition("/")
    stem, dot, _ = base.partition(".")
    return folder + slash + stem if stem and dot and (member.is_file or member.problem) else None
