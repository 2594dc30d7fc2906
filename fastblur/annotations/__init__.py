"""Box files of others: COCO, ILSVRC and the lines of `fastblur detect`, read as an iterator of (key, boxes)."""
