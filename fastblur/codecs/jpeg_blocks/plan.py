"""Which MCUs of a JPEG are read, which of its blocks change, and which MCUs are encoded again."""

from fastblur.codecs.jpeg_blocks.bits import compiled
from fastblur.codecs.jpeg_blocks.planes import area_read, touches
from fastblur.codecs.jpeg_blocks.scan import CHANGED, CODED, READ


@compiled
def mark(regions, mosaics, mode, width, height, blocks_x, blocks_y, across, flags, changed):
    """Set READ and CHANGED for the MCUs, and `changed` for the blocks, that hiding regions in one plane touches.

    Args:
        regions, mosaics, mode: see `planes.plan_plane`. width, height: of the plane in samples.
        blocks_x, blocks_y: the plane's blocks in an MCU. across: MCUs in a row.
        flags: (mcus,) uint8. changed: (rows of blocks, blocks in a row) uint8.
    """
    for i in range(len(regions)):
        x0, y0, x1, y1 = area_read(regions, mosaics, i, width, height, mode)
        for y in range(y0 // (8 * blocks_y), (y1 - 1) // (8 * blocks_y) + 1):
            for x in range(x0 // (8 * blocks_x), (x1 - 1) // (8 * blocks_x) + 1):
                flags[y * across + x] |= READ
        r = regions[i]
        for y in range(r.y0 // 8, (r.y1 - 1) // 8 + 1):
            for x in range(r.x0 // 8, (r.x1 - 1) // 8 + 1):
                if changed[y, x] == 0 and touches(r, 8 * x, 8 * y):
                    changed[y, x] = 1
                    flags[y // blocks_y * across + x // blocks_x] |= READ | CHANGED


@compiled
def mark_coded(flags, across, interval):
    """Set CODED for the MCUs that change and those after them, whose DC differences change.

    Returns how many MCUs have a flag, how many are READ, CHANGED and CODED, and the window of MCUs around all that are
    READ: x0, y0, x1, y1, the last two not in it.
    """
    flagged = read = changed = coded = 0
    x0, y0, x1, y1 = across, len(flags), 0, 0
    before = False
    for m in range(len(flags)):
        if interval > 0 and m % interval == 0:
            before = False  # the first MCU after a restart marker depends on none
        flag = flags[m]
        if flag == 0 and not before:
            continue
        flagged += 1
        if flag & READ:
            read += 1
            x, y = m % across, m // across
            x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x + 1), max(y1, y + 1)
        changes = flag & CHANGED != 0
        if changes or before:
            flags[m] = flag | CODED
            coded += 1
            changed += changes
        before = changes
    if read == 0:
        x0 = y0 = 0
    return flagged, read, changed, coded, x0, y0, x1, y1
