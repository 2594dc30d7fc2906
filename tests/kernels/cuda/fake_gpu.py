"""A driver with which Triton compiles for a GPU that need not be there, and launches nothing.

Everything else is Triton's own way from a call to machine code, so that what a user's first call would meet shows here.
Use it in a process of its own: the driver stays. CPU tensors stand for those on the GPU.
"""

from dataclasses import dataclass

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

REGISTERS, SHARED = 65536, 232448  # of a multiprocessor of an H100
BEFORE = 9  # what stands before a program's own arguments: grid, stream, function, metadata twice, hooks
INTEGERS = {"i1": 1, "i32": 1 << 31, "i64": 1 << 63}
POINTERS = {
    torch.uint8: "*u8", torch.int32: "*i32", torch.int64: "*i64", torch.float32: "*fp32", torch.float16: "*fp16",
    torch.bfloat16: "*bf16", torch.bool: "*i1",
}  # fmt: skip


@dataclass
class Program:
    """A compiled program: its function's name, machine code (an ELF file) and bytes of shared memory."""

    name: str
    code: bytes
    shared: int


def check(kinds, arguments):
    """Assert what Triton's own launcher takes for granted or fails over: number, types and range of the arguments."""
    assert len(arguments) == len(kinds)
    for kind, given in zip(kinds, arguments, strict=True):
        if kind.startswith("*"):
            assert kind == POINTERS[given.dtype], (kind, given.dtype)
        elif kind != "constexpr":
            assert type(given) is int, (kind, given)
            assert -INTEGERS[kind] <= given < INTEGERS[kind] + (kind == "i1"), (kind, given)


class FakeDriver:
    """What Triton asks of a driver; `programs` are those that were loaded, `launches` counts their launches."""

    binary_ext = "cubin"

    def __init__(self, architecture: int) -> None:
        self.architecture = architecture
        self.programs: list[Program] = []
        self.launches = 0
        self.utils = self
        self.launcher_cls = self._launcher

    def _launcher(self, source, metadata):
        kinds = list(source.signature.values())

        def launch(*arguments, **options):
            self.launches += 1
            check(kinds, arguments[BEFORE:])

        return launch

    def load_binary(self, name, kernel, shared, device, *more):
        self.programs.append(Program(name, kernel, shared))
        loaded = (1, 2, 32, 0, 1024)  # module, function, registers, spills, most threads
        return loaded[: 4 if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 4) else 5]

    def unload_module(self, *arguments):
        pass

    def get_device_properties(self, device):
        return {
            "max_shared_mem": SHARED, "max_num_regs": REGISTERS, "multiprocessor_count": 132, "warpSize": 32,
            "sm_clock_rate": 1, "mem_clock_rate": 1, "mem_bus_width": 1,
        }  # fmt: skip

    def get_current_target(self):
        return GPUTarget("cuda", self.architecture, 32)

    def get_device_capability(self, *arguments):
        return divmod(self.architecture, 10)

    def get_active_torch_device(self):
        return torch.device("cpu")

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0

    def get_device_interface(self):
        return torch.cuda

    def map_python_to_cpp_type(self, kind):
        return kind


def activate(architecture: int) -> FakeDriver:
    """Make every launch from here on one of a GPU of this architecture (90 is sm_90), and return its driver."""
    fake = FakeDriver(architecture)
    driver.set_active(fake)
    from fastblur.kernels.cuda import refusal

    refusal.INTERPRETED = True  # backend="cuda" takes CPU tensors
    return fake
