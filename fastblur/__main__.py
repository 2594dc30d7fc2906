"""`python -m fastblur`: the command line."""

from fastblur.cli import main

main()
