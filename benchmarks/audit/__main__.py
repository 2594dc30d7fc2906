"""What `fastblur audit` finds of faces left visible and of outputs tampered with, and how long it and `correct` take.

    python -m benchmarks.audit [--only NAME ...] [--data DIR] [--workers N] [--scratch DIR] [--json FILE]

- search: all known faces of photos and sample are left visible (a run with boxes files that have none), and 30 of them
  once more among the others, which are hidden. How many the harder search or the near misses of a run's journal find,
  and how many suspects there are in images without a known face.
- smuggled: of 50 hidden images of the sample 20 become their originals, 15 get half of a region back and 15 another
  pixel outside; how many `audit --source` names, and that it names nothing else.
- half: half of a region put back, at random sides of the known faces, by three seeds, in JPEG files rewritten by
  blocks and encoded, in PNG and in WebP files (150 regions each); how many `audit --source` names.
- quality: true outputs of images saved again at JPEG qualities of 5 to 97, faint, dark, and of 16 bits, hidden
  by each method: which `audit --source` names without cause; and how many it names when parts of the original are mixed
  into all of the output.
- scale: a run over 20,000 images (the sample, over and over); the time of `audit` with 500 sampled, without --source;
  the time of `correct` for 10 images, and how many files it writes.
- journal: the account of a journal of 1.5 million entries with as many (empty) files: time and memory of a process.
- killed: `correct` killed 20 times at random moments, then let through; how many images are lost, unhidden or differ
  from those of a fresh run.
- kept: the size of the journal, and the time of a run with a detector, with near misses kept over without, in turns.
"""

from benchmarks.audit import correction, found, half, kept, quality, scale
from benchmarks.common.command import parser, scratch_folder, write_json

PARTS = {
    "search": found.search,
    "smuggled": found.smuggled,
    "half": half.half,
    "quality": quality.quality,
    "scale": scale.scale,
    "journal": scale.journal,
    "killed": correction.killed,
    "kept": kept.kept,
}


def main() -> None:
    arguments = parser(__doc__, repeat=10, only=PARTS, workers=True, scratch=True).parse_args()
    results = {}
    for name in arguments.only:
        with scratch_folder(arguments) as folder:
            results[name] = PARTS[name](folder, arguments)
        print(f"{name}:")
        for key, value in results[name].items():
            print(f"  {key:40} {value}")
    write_json(arguments.json, "benchmarks.audit", results)


if __name__ == "__main__":
    main()
