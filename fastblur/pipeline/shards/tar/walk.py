"""The samples of a tar and of the tars within it, in their order."""

from collections.abc import Iterator

from fastblur.pipeline.shards.tar.names import is_tar_name
from fastblur.pipeline.shards.tar.samples import DUPLICATE, MemberRules, Sample, TarBegin, TarEnd, sample_key
from fastblur.pipeline.shards.tar.stream import Member, TarReader
from fastblur.pipeline.storage.paths import error_reason

BATCH_BYTES = 64 << 20  # of members in a batch; a sample that is larger stands alone
MAX_DEPTH = 8  # tars within tars

Part = Sample | TarBegin | TarEnd
"""What follows in a tar."""


def walk(tar: TarReader, rules: MemberRules, depth: int = 0) -> Iterator[Part]:
    """Yield the samples of a tar, and those of tars that are members between their begin and end.

    Tars that are members are of no sample: they end the sample before them.

    Args:
        tar: that has not been read from.
        rules: for its members.
        depth: in how many tars it is.

    Raises ValueError where the tar is cut short or damaged, OSError where it cannot be read; the sample that was being
    read is yielded before that, as items with a problem. A tar within the tar that is damaged is one such item, and
    the members after it are read.
    """
    sample = Sample(rules)
    before: set[str] = set()
    singles: set[str] = set()  # names of members that are of no sample
    folders: set[str] = set()  # of members, that are called as tars are
    try:
        for index, member in enumerate(tar, 1):
            folders.update(_folders_named_as_tars(member.name))
            if member.is_file and not member.problem and is_tar_name(member.name):
                if sample:
                    yield sample
                    sample = Sample(rules)
                again = member.name in singles
                if again or member.name in folders:
                    sample.add_refused(index if again else 0, member, DUPLICATE)
                elif depth == MAX_DEPTH:
                    sample.add_refused(0, member, f"is a tar within {MAX_DEPTH} others, which is not read")
                else:
                    yield from _walk_member(tar, member, rules, depth + 1)
                singles.add(member.name)
                continue
            key = sample_key(member)
            if (sample.held > BATCH_BYTES) if key is None else (sample.key not in (None, key)):
                yield sample
                sample = Sample(rules)
            if not singles.isdisjoint(_folders_named_as_tars(member.name)):
                sample.add_refused(index, member, DUPLICATE)
                continue
            if key is None:
                sample.add_single(index, member, tar, singles)
                continue
            if sample.key is None:
                sample.key = key
                if key in before:
                    sample.is_duplicate = True
                    sample.reject(f"is a duplicate: its sample {key!r} came before, with others between")
                before.add(key)
            sample.add(index, member, tar)
    except (ValueError, OSError) as error:
        sample.reject(f"its sample may not be whole: {error_reason(error)}")
        yield sample
        raise
    yield sample
    tar.finish()


def _walk_member(outer: TarReader, member: Member, rules: MemberRules, depth: int) -> Iterator[Part]:
    """Yield what is in a tar that is a member, between its begin and end."""
    begun, problem = False, ""
    try:
        tar = TarReader(outer.open_member())
        for part in walk(tar, rules.within(member), depth):
            if not begun and part:
                yield TarBegin(member.head, member.size, tar.gz)
                begun = True
            yield part
        if not begun:  # it is empty
            yield TarBegin(member.head, member.size, tar.gz)
            begun = True
    except ValueError as error:
        problem = str(error)
    if begun:
        yield TarEnd()
    if problem:
        broken = Sample(rules)
        broken.add_refused(0, member, problem)
        yield broken


def _folders_named_as_tars(name: str) -> list[str]:
    """Return the folders of a member's name that are called as tars are: a tar of that name would have its members."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts)) if is_tar_name(parts[end - 1])]
