"""Annotation files of others with boxes (COCO, ILSVRC, the lines of `fastblur detect`), read entry by entry."""
