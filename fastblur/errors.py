"""The errors that fastblur raises on purpose; any other exception that leaves it is a bug.

    FastblurError
    |-- UsageError (ValueError)         an argument, path or input file that does not fit
    |-- MissingPackage (ImportError)    an optional package is not installed
    |-- CodecError (ValueError)         the bytes of an image cannot be read or written
    |-- WeightsError (ValueError)       a detector's weights are not found or not the published ones
    `-- RunStopped (RuntimeError)       a run cannot go on; the same call resumes it

`UsageError` is here, `MissingPackage` in `fastblur.need`, `CodecError` in `fastblur.codecs`, `WeightsError` in
`fastblur.detectors.weights` and `RunStopped` in `fastblur.pipeline`. The command prints such an error as one sentence
and exits 2 (1 for `RunStopped`); anything else shows its traceback and exits 70.
"""


class FastblurError(Exception):
    """The root of all errors that fastblur raises on purpose."""


class UsageError(FastblurError, ValueError):
    """An argument, path or input file that does not fit: the sentence says what was wrong and what is expected."""
