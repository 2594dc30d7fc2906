"""Count and remove the files of a run while it goes on: `python -m benchmarks.common.remove_outputs OUT ENDED`.

1.5 million images are 160 GB, which fit in no memory. Looks at OUT/*/* twice a second and once more when the file ENDED
exists, then prints their number and bytes. In a process of its own, which works on the same processors as the run.
"""

import json
import os
import sys
import time


def main() -> None:
    out, ended = sys.argv[1:]
    files = size = 0
    last = False
    while not last:
        last = os.path.exists(ended)
        for folder in os.scandir(out) if os.path.isdir(out) else ():
            if folder.name != ".fastblur":
                for file in os.scandir(folder):
                    files, size = files + 1, size + file.stat().st_size
                    os.unlink(file)
        time.sleep(0.5)
    print(json.dumps({"files": files, "bytes": size}))


if __name__ == "__main__":
    main()
