"""Packages that only parts of fastblur need: imported on first use, missed with a sentence."""

from importlib import import_module
from types import ModuleType

from fastblur.errors import FastblurError


class MissingPackage(FastblurError, ImportError):
    """An optional package that is not installed; the sentence names the extra that brings it."""


def need(
    package: str,  # the module's name, as "PIL.Image"
    extra: str,  # the extra of fastblur that brings it, as "run"
) -> ModuleType:
    """Return the module `package`, imported.

    Raises MissingPackage where it is not installed or cannot be imported.

    Example:
        >>> from fastblur.need import need
        >>> need("json", "run").loads("[1]")
        [1]
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise MissingPackage(
                f"the package {package} needs {error.name}, which is missing, expected both installed: "
                f"pip install 'fastblur[{extra}]'",
                name=package,
            ) from error
        raise MissingPackage(
            f"the package {error.name} is missing, expected it installed: pip install 'fastblur[{extra}]'",
            name=error.name,
        ) from None
    except ImportError as error:
        raise MissingPackage(
            f"the package {package} cannot be imported ({error}), expected it installed whole: "
            f"pip install 'fastblur[{extra}]'",
            name=package,
        ) from error
