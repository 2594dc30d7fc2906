"""Refused: a file whose bytes cannot be changed in place."""

from typing import Literal

RefusedKind = Literal["progressive", "unsupported", "irregular"]
"""Why a JPEG has to be decoded and encoded: its coding, another kind that is not taken, or not whole and exact."""


class Refused(Exception):
    """A file that has to be decoded and encoded instead; the message says why."""

    def __init__(self, reason: str, kind: RefusedKind = "irregular") -> None:
        super().__init__(reason)
        self.kind: RefusedKind = kind
