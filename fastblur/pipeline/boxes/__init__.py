"""Boxes that are given for images: the file, the look-up of an image's boxes, and the checks."""
