"""Baseline JPEG files rewritten block by block: faces hidden in the bytes, everything else as it was.

`hide` is the way in; `Refused` says that a file has to be decoded and encoded instead. The files in the order in which
the data pass them: `layout` reads what stands before the scan, `plan` and `planes` find what is read and what changes,
`huffman` and `scan` read the scan, `transforms` has the 8 x 8 blocks, `planes` hides, `encode` writes, `rewrite` joins.
"""

from fastblur.codecs.jpeg_blocks.layout import Refused
from fastblur.codecs.jpeg_blocks.rewrite import Rewritten, hide

__all__ = ["Refused", "Rewritten", "hide"]
