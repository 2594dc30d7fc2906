"""Samples of a tar file: members that belong together, kept or left out as one.

`Sample` takes the members as the tar is read, and is in one of two states. While it is good, `add` keeps members:
images become items with their data, the others wait for the output. When something is wrong with any member, `reject`
makes it rejected: what was kept of the sample is dropped, its items get the reason, and of members that still come only
images get an item, so that each image is listed as failed once. Two things are apart from that: members of no sample
between those of one (folders, README), and duplicates within a sample; these fail, or are kept, each alone.
"""

from dataclasses import dataclass, field, replace

from fastblur.codecs import OTHER_SUFFIXES, SUFFIXES, is_image
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.shards.tar.stream import Member, TarReader

SAMPLE_BYTES = 1 << 30  # of a sample's members: it must be held whole
DUPLICATE = "is a duplicate: the tar has a member of this name before it"
OVERHEAD = 1024  # about what Python needs for a member besides its bytes


@dataclass(slots=True)
class TarMember:
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
class TarBatchInfo:
    """What the output needs to write a batch.

    Attributes:
        gz: whether the tar is compressed.
        members: the batch's members, in their order, without those that are left out in any case.
        samples: the number of each item's sample, which is left out where the item fails; None where it fails alone.
        held: about how many bytes the members and images take.
    """

    gz: bool
    members: list[TarMember] = field(default_factory=list)
    samples: list[int | None] = field(default_factory=list)
    held: int = 0


class Sample:
    """A sample that is being read, and members between its own that are of no sample."""

    def __init__(self, shard: str) -> None:
        self.key: str | None = None
        self.items: list[Item] = []
        self.held = 0
        self.is_duplicate = False
        self._shard = shard
        self._problem = ""
        self._fails_alone: list[bool] = []  # for each item, whether it fails alone
        self._members: list[TarMember] = []
        self._names: set[str] = set()

    def add(self, member_index: int, member: Member, tar: TarReader) -> None:
        """Add a member of the sample; its data is read if it is kept."""
        if not self.is_duplicate and member.name in self._names:
            self._refuse(member_index, member, DUPLICATE, alone=True)
            return
        self._names.add(member.name)
        if member.problem:
            self._refuse(member_index if self.is_duplicate else 0, member, member.problem)
            self.reject(f"its sample is left out because {member.name!r} {member.problem}")
        elif self.held + member.size > SAMPLE_BYTES:
            self.reject(f"its sample is larger than {SAMPLE_BYTES >> 20} MiB")
        if self._problem:
            self.held += OVERHEAD
            if not member.problem and (_is_image(member) or all(self._fails_alone)):
                self._refuse(member_index if self.is_duplicate else 0, member, self._problem)
            return
        self._keep(member, tar, 0)

    def add_single(self, member_index: int, member: Member, tar: TarReader, names: set[str]) -> None:
        """Add a member that is of no sample; `names` are those of such files before it."""
        counts = member.is_file or bool(member.problem)  # folders may come again
        again = counts and member.name in names
        if counts:
            names.add(member.name)
        problem = member.problem
        if again:
            problem = problem or DUPLICATE
        elif member.size > SAMPLE_BYTES:
            problem = problem or f"is larger than {SAMPLE_BYTES >> 20} MiB"
        if problem:
            self._refuse(member_index if again or not member.name else 0, member, problem, alone=True)
        else:
            self._keep(member, tar, None)

    def reject(self, problem: str) -> None:
        """Leave the sample out; the first reason stands."""
        self._problem = self._problem or problem
        singles: list[TarMember] = []
        for kept in self._members:
            if kept.sample is None:
                singles.append(kept)
            else:
                self.held -= kept.size
        self._members = singles
        self.items = [
            item if alone or item.problem is not None else replace(item, data=None, problem=self._problem)
            for item, alone in zip(self.items, self._fails_alone, strict=True)
        ]

    def join(self, batch: Batch) -> None:
        """Add all to a batch."""
        info: TarBatchInfo = batch.info
        first = len(batch.items)
        number = first + len(info.members)  # each sample has an item or a member
        batch.items += self.items
        info.samples += [None if alone else number for alone in self._fails_alone]
        for kept in self._members:
            kept.image = None if kept.image is None else first + kept.image
            kept.sample = None if kept.sample is None else number
            info.members.append(kept)
        info.held += self.held

    def _keep(self, member: Member, tar: TarReader, sample: int | None) -> None:
        data = tar.read() if member.is_file else b""
        kept = TarMember(member.head, member.size, data, None, sample)
        if _is_image(member) or is_image(data):
            kept.data, kept.image = b"", len(self.items)
            self.items.append(Item(self._name(member), data=data, key=member.name))
            self._fails_alone.append(sample is None)
        self._members.append(kept)
        self.held += len(member.head) + member.size + OVERHEAD

    def _refuse(self, member_index: int, member: Member, problem: str, alone: bool = False) -> None:
        """Add an item for a member that is left out; the index, if not 0, makes a name unique that comes again."""
        name = self._name(member) + (f" (member {member_index})" if member_index else "")
        self.items.append(Item(name, problem=problem, key=member.name))
        self._fails_alone.append(alone)
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
