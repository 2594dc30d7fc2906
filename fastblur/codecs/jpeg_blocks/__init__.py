"""Baseline JPEG files rewritten block by block: faces hidden in the bytes, everything else as it was.

`read_layout` and `hide` are the way in; `Refused` says that a file has to be decoded and encoded instead. The files in
the order in which the data pass them: `layout` reads what stands before the scan, `plan` and `planes` find what is read
and what changes, `huffman` and `scan` read the scan, `planes` hides, `changed` goes back to coefficients by the 8 x 8
`transforms`, `encode` writes the scan through `bit_output`, `rewrite` joins.
"""

from fastblur.codecs.jpeg_blocks.layout import Layout, read_layout
from fastblur.codecs.jpeg_blocks.rewrite import Rewritten, hide
from fastblur.codecs.refused import Refused

__all__ = ["Layout", "Refused", "Rewritten", "hide", "read_layout"]
