"""How tars are called."""

SUFFIXES = (".tar", ".tar.gz", ".tgz")


def is_tar_name(name: str) -> bool:
    """Return whether a file of this name is taken for a tar."""
    return name.lower().endswith(SUFFIXES)


def tar_stem(name: str) -> str:
    """Return a tar's name without its ending; any other name as it is."""
    ending = next((each for each in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(each)), "")
    return name[: len(name) - len(ending)]
