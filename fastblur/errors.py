"""The errors that fastblur raises on purpose; any other exception that leaves it is a bug.

    FastblurError
    |-- UsageError (ValueError)         an argument, path or input file that does not fit
    |-- FileError (OSError)             a file, folder or URL that the system refuses
    |-- MissingPackage (ImportError)    an optional package is not installed
    |-- CodecError (ValueError)         the bytes of an image cannot be read or written
    |-- WeightsError                    a detector's weights
    |   |-- WeightsNotFound (FileNotFoundError)
    |   `-- WrongWeights (ValueError)
    `-- RunStopped (RuntimeError)       a run cannot go on; the same call resumes it

`UsageError` and `FileError` are here, `MissingPackage` in `fastblur.need`, `CodecError` in `fastblur.codecs`,
`WeightsError` in `fastblur.detectors` and `RunStopped` in `fastblur.pipeline`. The command prints such an error as one
sentence and exits 2 (1 for `RunStopped`); anything else shows its traceback and exits 70.
"""


class FastblurError(Exception):
    """The root of all errors that fastblur raises on purpose."""


class FileError(FastblurError, OSError):
    """A file, folder or URL that the system refuses to read or write; the sentence says which and why."""


class UsageError(FastblurError, ValueError):
    """An argument, path or input file that does not fit: the sentence says what was wrong and what is expected."""
