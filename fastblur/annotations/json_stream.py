"""JSON files too large to load: the entries of their long lists, one at a time.

Why not ijson: it is no faster with the checks that are made here (an object that names something twice, a byte order
mark), and an exception raised in them does not come through its C backend.
"""

import json
from codecs import getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastblur.errors import UsageError

CHUNK = 1 << 22  # bytes read at once
SPACE = " \t\n\r"
OF_NUMBERS = "0123456789.eE+-"


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise ValueError where a name comes twice, of which `json` would take the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a name comes twice among {[name for name, _ in pairs][:9]}")
    return found


def entries(path: str | Path) -> Iterator[tuple[str | None, Any]]:
    """Yield (name, entry) for every entry of the lists at the top of a JSON file.

    The file is a list, then the name is None, or an object, then the name is that of the list in it; other
    values come as (name, value). At most one entry and some MiB of text are held.

    Raises OSError for a file that cannot be read, ValueError for one that is not JSON, or no list or object, or nested
    too deeply.
    """
    text = _Text(path)
    first = text.peek()
    if first == "[":
        for entry in text.list():
            yield None, entry
    elif first == "{":
        text.skip()
        names: set[str] = set()
        while text.peek() != "}":
            name = text.value()
            if not isinstance(name, str):
                raise ValueError(f"expected a name in quotes, not {name!r}")
            if name in names:
                raise ValueError(f"the name {name!r} comes twice")
            names.add(name)
            text.expect(":", "expected ':' after a name")
            if text.peek() == "[":
                for entry in text.list():
                    yield name, entry
            else:
                yield name, text.value()
            if text.peek() != ",":
                break
            text.skip()
            if text.peek() == "}":
                raise ValueError("expected a name after ','")
        text.expect("}", "expected ',' or '}'")
    else:
        value = text.value()
        raise ValueError(f"it holds a {type(value).__name__}")
    if text.peek():
        raise ValueError("it goes on after its end")


def object_head(path: str | Path) -> bytes:
    """Return the first bytes of a JSON file, without a byte order mark and spaces; raises OSError."""
    with open(path, "rb") as file:
        return file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip()


def stream(path: str | Path, expected: str) -> Iterator[tuple[str | None, Any]]:
    """Yield as `entries`; raises UsageError, which says that the file was to be `expected`."""
    number = 0
    try:
        for entry in entries(path):
            yield entry
            number += 1
    except ValueError as error:  # UnicodeDecodeError among them
        raise UsageError(
            f"boxes file {path} is not JSON or of another form at entry {number} ({error}), expected {expected}"
        ) from None


class _Text:
    """The text of a file, of which a part is held."""

    def __init__(self, path: str | Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115  (closed at its end, or with the generator)
        self._decode = getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder(object_pairs_hook=object_of).raw_decode
        self._held, self._at, self._whole = "", 0, False

    def peek(self) -> str:
        """Return the next character that is no space, without going past it; "" at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in SPACE:
                    return self._held[self._at]
                self._at += 1
            if self._whole:
                return ""
            self._read()

    def skip(self) -> None:
        self._at += 1

    def expect(self, character: str, problem: str) -> None:
        if self.peek() != character:
            raise ValueError(f"{problem}, not {self._held[self._at : self._at + 20]!r}")
        self.skip()

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._scan(self._held, self._at)
            except RecursionError:
                raise ValueError("it is nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._whole:
                    raise ValueError(f"{error.msg} at {self._held[error.pos : error.pos + 20]!r}") from None
            else:
                if self._whole or (end < len(self._held) and self._held[end] not in OF_NUMBERS):  # else it may go on
                    self._at = end
                    return value
            self._read()

    def list(self) -> Iterator[Any]:
        self.skip()
        if self.peek() != "]":
            while True:
                yield self.value()
                if self.peek() != ",":
                    break
                self.skip()
        self.expect("]", "expected ',' or ']'")

    def _read(self) -> None:
        # As much again as is held, so that a long value is not scanned over and over.
        data = self._file.read(max(CHUNK, len(self._held) - self._at))
        self._whole = not data
        self._held = self._held[self._at :] + self._decode.decode(data, final=not data)
        self._at = 0
        if self._whole:
            self._file.close()
