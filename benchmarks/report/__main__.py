"""The command `python -m benchmarks.report`."""

from benchmarks.report.page import main

if __name__ == "__main__":
    main()
