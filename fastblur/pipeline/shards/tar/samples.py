"""Samples of a tar file: members that belong together, kept or left out as one.

`Sample` takes the members as the tar is read, and is in one of two states. While it is good, `add` keeps members:
images become items with their data, the others wait for the output. When something is wrong with any member, `reject`
makes it rejected: what was kept of the sample is dropped, its items get the reason, and of members that still come only
images get an item, so that each image is listed as failed once. Two things are apart from that: members of no sample
between those of one (folders, README), and duplicates within a sample; these fail, or are kept, each alone.
"""

from dataclasses import dataclass, field, replace

from fastblur.codecs import OTHER_SUFFIXES, SUFFIXES, is_image
from fastblur.pipeline.shards.content import matches_members, unsearched_kind, unsearched_problem
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


@dataclass(frozen=True, slots=True)
class TarBegin:
    """Where a tar within the tar begins, whose members follow.

    Attributes:
        head: its headers, as they were read.
        size: how many bytes they say that it has.
        gz: whether it is compressed.
    """

    head: bytes
    size: int
    gz: bool


@dataclass(frozen=True, slots=True)
class TarEnd:
    """Where the innermost tar that has begun ends."""


@dataclass(frozen=True, slots=True)
class MemberRules:
    """Which members of a tar are searched, and what they are called.

    Attributes:
        shard: the shard's name.
        inside: names of the tars within the tar that the members are in, from the outermost, with "/" behind each.
        others: what happens to members that may hold images and are not searched: "fail", "copy" or "skip".
        members: patterns of the images to search, as `matches_members` takes them; none for all.
    """

    shard: str
    inside: str = ""
    others: str = "fail"
    members: tuple[str, ...] = ()

    def name(self, member: Member) -> str:
        """Return the name of a member's item."""
        return f"{self.shard}/{self.inside}{member.name}"

    def key(self, member: Member) -> str:
        """Return what box files call a member."""
        return f"{self.inside}{member.name}"

    def within(self, member: Member) -> "MemberRules":
        """Return the rules for the members of a tar that is a member."""
        return replace(self, inside=f"{self.inside}{member.name}/")


@dataclass(slots=True)
class TarBatchInfo:
    """What the output needs to write a batch.

    Attributes:
        gz: whether the tar is compressed.
        members: the batch's members, in their order, without those that are left out in any case; with the borders of
            tars within the tar.
        samples: the number of each item's sample, which is left out where the item fails; None where it fails alone.
        held: about how many bytes the members and images take.
    """

    gz: bool
    members: list[TarMember | TarBegin | TarEnd] = field(default_factory=list)
    samples: list[int | None] = field(default_factory=list)
    held: int = 0


class Sample:
    """A sample that is being read, and members between its own that are of no sample."""

    def __init__(self, rules: MemberRules) -> None:
        self.key: str | None = None
        self.items: list[Item] = []
        self.held = 0
        self.is_duplicate = False
        self._rules = rules
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

    def add_refused(self, member_index: int, member: Member, problem: str) -> None:
        """Add a member that fails alone."""
        self._refuse(member_index, member, problem, alone=True)

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

    def __bool__(self) -> bool:
        """Return whether there is anything in it."""
        return bool(self.items or self._members)

    def _keep(self, member: Member, tar: TarReader, sample: int | None) -> None:
        data = tar.read() if member.is_file else b""
        searched = _is_image(member) or is_image(data)
        unsearched = None if searched or not data else unsearched_kind(data)
        if searched and self._rules.members and not matches_members(member.name, self._rules.members):
            searched, unsearched, others = False, "an image", "copy"  # as the user said by naming the others
        else:
            others = self._rules.others
        if unsearched is not None and others == "fail":
            self._refuse(0, member, unsearched_problem(unsearched), alone=sample is None)
            if sample is not None:
                self.reject(f"its sample is left out because {member.name!r} is {unsearched}, which is not searched")
            return
        if unsearched is not None and others == "skip":
            self.items.append(Item(self._rules.name(member), key=self._rules.key(member), unsearched="skip"))
            self._fails_alone.append(True)
            self.held += OVERHEAD
            return
        kept = TarMember(member.head, member.size, data, None, sample)
        if searched or unsearched is not None:
            kept.data, kept.image = b"", len(self.items)
            item = Item(self._rules.name(member), data=data, key=self._rules.key(member))
            self.items.append(item if searched else replace(item, unsearched="copy"))
            self._fails_alone.append(sample is None)
        self._members.append(kept)
        self.held += len(member.head) + member.size + OVERHEAD

    def _refuse(self, member_index: int, member: Member, problem: str, alone: bool = False) -> None:
        """Add an item for a member that is left out; the index, if not 0, makes a name unique that comes again."""
        name = self._rules.name(member) + (f" (member {member_index})" if member_index else "")
        self.items.append(Item(name, problem=problem, key=self._rules.key(member)))
        self._fails_alone.append(alone)
        self.held += OVERHEAD


def _is_image(member: Member) -> bool:
    return member.is_file and member.name.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES))


def sample_key(member: Member) -> str | None:
    """Return WebDataset's key of the member: its name up to the first dot of its last part; None where it has none."""
    folder, slash, base = member.name.rpartition("/")
    stem, dot, _ = base.partition(".")
    return folder + slash + stem if stem and dot and (member.is_file or member.problem) else None
