"""State dicts from files, read without running code from them, and put into a network only where they fit it whole."""

import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from fastblur.detectors.weights import WrongWeights


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in `path`, on the CPU; only tensors are read (`weights_only=True`).

    Takes a file of torch.save, or a zip archive that holds one such file (as some releases are packed). The prefix
    `module.`, which nn.DataParallel leaves on every name, is removed.

    Raises OSError for a file that cannot be opened, WrongWeights (a ValueError) for one that holds anything but a state
    dict.
    """
    try:
        state = torch.load(_unpacked(Path(path)), map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # on bytes that are no checkpoint torch.load fails in many ways, IndexError among them
        reason = str(error).partition("\n")[0]
        raise WrongWeights(f"weights {str(path)!r} cannot be read ({reason}), expected a state dict") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WrongWeights(f"weights {str(path)!r} hold a {type(state).__name__}, expected names to tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_state_dict(net: nn.Module, path: str | Path) -> None:
    """Put the state dict in `path` into `net`, name for name.

    Raises OSError or WrongWeights as `read_state_dict`, and WrongWeights where a name or a shape is not that of `net`.
    """
    state, own = read_state_dict(path), net.state_dict()
    wrong = sorted(own.keys() ^ state.keys()) or sorted(n for n in own if own[n].shape != state[n].shape)
    if wrong:
        raise WrongWeights(
            f"weights {str(path)!r} do not fit {type(net).__name__}: {len(wrong)} entries differ, first {wrong[0]!r}; "
            f"expected its {len(own)} entries, found {len(state)}"
        )
    net.load_state_dict(state, strict=True)


def _unpacked(path: Path) -> Path | io.BytesIO:
    """Return the path itself, or the contents of the one checkpoint inside a zip archive that is not itself one."""
    if not zipfile.is_zipfile(path):
        path.open("rb").close()  # is_zipfile takes a missing file for "no": this says why it cannot be opened
        return path
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.namelist() if m.endswith((".pth", ".pt"))]
        if len(members) == 1 and not any(m.endswith("data.pkl") for m in archive.namelist()):
            return io.BytesIO(archive.read(members[0]))
    return path
