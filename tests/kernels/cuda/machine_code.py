"""What a program's machine code takes of a GPU: registers, spills, instructions by kind, loops."""

import re
import subprocess
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import triton

INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,5})\*/\s+(.*?);", re.M)
NAME = re.compile(r"(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")
BRANCH = re.compile(r"\bBRA(?:\.\w+)*\s+(?:\S+,\s*)?`?\(?(0x[0-9a-f]+)\)?")
# Loads and stores of one byte of global memory: pixels of uint8 that are not moved in words.
BYTE_WIDE = re.compile(r"\b(?:LDG|STG)\.E\.[US]8\b")


def usage(code: bytes) -> dict[str, int]:
    """Return registers a thread and bytes of spills and stack a thread."""
    text = _tool("cuobjdump", "-res-usage", code)
    found = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
    return {"registers": found["REG"], "spilled": found["STACK"] + found["LOCAL"]}


@cache
def instructions(code: bytes) -> list[tuple[int, str]]:
    """Return every instruction as (address, text), without the padding at the end."""
    text = _tool("cuobjdump", "-sass", code)
    if not INSTRUCTION.search(text):
        text = _tool("nvdisasm", "-c", code)
    found = [(int(address, 16), words) for address, words in INSTRUCTION.findall(text)]
    while found and found[-1][1].startswith(("NOP", "BRA")):
        found.pop()
    return found


def counts(code: bytes) -> dict[str, int]:
    """Return the number of instructions, of some kinds of them, and of byte-wide loads and stores of global memory."""
    names = [NAME.match(words)[1] for _, words in instructions(code)]
    kinds = Counter(name.split(".")[0] for name in names)
    kept = ("LDG", "STG", "LDS", "STS", "LDL", "STL", "HMMA", "MUFU", "BAR", "SHFL", "DFMA", "DADD", "DMUL", "CALL")
    return {
        "instructions": len(names),
        "byte_wide": sum(bool(BYTE_WIDE.search(words)) for _, words in instructions(code)),
        **{kind: kinds[kind] for kind in kept if kinds[kind]},
    }


def loops(code: bytes) -> list[dict[str, int]]:
    """Return the loops in the order of their first instruction: depth, all instructions, and those of no inner loop."""
    words = instructions(code)
    place = {address: i for i, (address, _) in enumerate(words)}
    found = []
    for i, (address, text) in enumerate(words):
        branch = BRANCH.search(text)
        if branch and int(branch[1], 16) < address and int(branch[1], 16) in place:
            found.append((place[int(branch[1], 16)], i))
    found = sorted(found, key=lambda loop: (loop[0], -loop[1]))
    results = []
    for first, last in found:
        inner = {i for a, b in found if first <= a and b <= last and (a, b) != (first, last) for i in range(a, b + 1)}
        depth = sum(a <= first and last <= b for a, b in found) - 1
        own = last - first + 1 - len(inner)
        results.append({"first": first, "last": last, "depth": depth, "all": last - first + 1, "own": own})
    return results


@cache
def _tool(name: str, option: str, code: bytes) -> str:
    tool = Path(triton.__file__).parent / "backends/nvidia/bin" / name
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        return subprocess.run([tool, option, file.name], capture_output=True, text=True, check=False).stdout
