"""The root of the errors, the packages that may be missing, and the lists of choices."""

import pytest

from fastblur.errors import FastblurError, UsageError
from fastblur.need import MissingPackage, need
from fastblur.options import Method, Unlisted, check_choice, choices


def test_a_usage_error_is_a_value_error_of_fastblur() -> None:
    with pytest.raises(ValueError, match="wrong") as caught:
        raise UsageError("wrong")
    assert isinstance(caught.value, FastblurError)


def test_a_package_that_is_there_is_imported() -> None:
    import importlib.util

    assert need("importlib.util", "run") is importlib.util


@pytest.mark.parametrize("package", ["absent_package", "absent_package.part"])
def test_a_missing_package_is_a_sentence_with_its_extra(package: str) -> None:
    with pytest.raises(ImportError) as caught:
        need(package, "tables")
    assert isinstance(caught.value, MissingPackage)
    assert isinstance(caught.value, FastblurError)
    assert str(caught.value) == (
        "the package absent_package is missing, expected it installed: pip install 'fastblur[tables]'"
    )


def test_a_broken_package_says_what_it_misses(tmp_path, monkeypatch) -> None:
    (tmp_path / "half_there.py").write_text("import absent_package")
    (tmp_path / "broken.py").write_text("raise ImportError('no shared object')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackage, match="half_there needs absent_package, which is missing"):
        need("half_there", "run")
    with pytest.raises(MissingPackage, match=r"broken cannot be imported \(no shared object\)"):
        need("broken", "run")


def test_choices_are_checked_by_name() -> None:
    assert choices(Method) == ("blur", "pixelate", "fill")
    check_choice("unlisted", "copy", Unlisted)
    with pytest.raises(UsageError, match=r"^unlisted is 'skip', expected 'fail', 'copy' or 'detect'$"):
        check_choice("unlisted", "skip", Unlisted)
