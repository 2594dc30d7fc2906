"""The rules of docs/architecture.md that a program can check: imports run downward, nothing grows too large."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "fastblur"

# The house, from the lowest floor up: a module belongs to the longest of these names that its own begins with. It may
# import from lower floors, and from modules that belong to the same name; names of one floor do not know each other.
FLOORS: list[list[str]] = [
    ["fastblur._version", "fastblur.errors", "fastblur.boxes"],
    [
        "fastblur.need",
        "fastblur.options",
        "fastblur.forked",
        "fastblur.torch_threads",
        "fastblur.compile_cache",
        "fastblur.transformed",
        "fastblur.staging",
    ],
    ["fastblur.box_formats"],
    ["fastblur.files", "fastblur.recipes", "fastblur.regions"],
    ["fastblur.method_options"],
    ["fastblur.kernels"],
    ["fastblur.codecs", "fastblur.annotations", "fastblur.detectors", "fastblur.ops"],
    ["fastblur.pipeline.execution.signals"],
    ["fastblur.pipeline.errors", "fastblur.pipeline.summary", "fastblur.pipeline.execution.stages"],
    ["fastblur.pipeline.storage"],
    ["fastblur.pipeline.shards"],
    ["fastblur.pipeline.boxes"],
    ["fastblur.pipeline.images"],
    ["fastblur.pipeline.config"],
    ["fastblur.pipeline.execution"],
    ["fastblur.pipeline.destination", "fastblur.pipeline.progress"],
    ["fastblur.pipeline"],
    ["fastblur.audit"],
    ["fastblur.module", "fastblur.jpeg", "fastblur.demo", "fastblur.samples", "fastblur.collating"],
    ["fastblur.image_hider"],
    ["fastblur.transforms"],
    ["fastblur.integrations"],
    ["fastblur.exits"],
    ["fastblur.cli_options"],
    ["fastblur.cli_weights", "fastblur.cli_audit"],
    ["fastblur.cli_run", "fastblur.cli_detect"],
    ["fastblur.cli"],
    ["fastblur.__main__"],
]
ROOTS = {"fastblur", "fastblur.pipeline"}  # what users import; their names are loaded when they are first used
LINES = 80
PARAMETERS = 8
LOOSE = ("fastblur.kernels", "fastblur.cli")  # compiled code, and declarations of options


@cache
def modules() -> dict[str, ast.Module]:
    """Every module by its name, parsed."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text("utf-8"))
    return found


def imports(name: str) -> set[str]:
    """The modules that a module imports, anywhere in it and for type checks too, or names in a string."""
    found = set()
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else str(node.module))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("fastblur."):
            found.add(node.value)
    return {one for one in found if one in modules() and one != name}


def room(name: str) -> tuple[int, str]:
    """The floor of a module, and what the floor calls it."""
    fitting = [
        (len(start), floor, start)
        for floor, starts in enumerate(FLOORS)
        for start in starts
        if name == start or name.startswith(f"{start}.")
    ]
    assert fitting, f"{name} has no floor in FLOORS"
    return max(fitting)[1:]


def test_the_reading_of_imports_finds_every_kind() -> None:
    assert "fastblur.pipeline.execution.preload" in imports("fastblur.pipeline.execution.forkserver"), "a string"
    assert "fastblur.pipeline.execution.ray" in imports("fastblur.pipeline.execution.engines"), "in a function"
    assert "fastblur.regions" in imports("fastblur.pipeline.images.detection"), "for type checks"
    assert room("fastblur.pipeline.execution.stages") < room("fastblur.pipeline.execution.journal")


@pytest.mark.parametrize("name", sorted(set(modules()) - ROOTS))
def test_imports_run_downward(name: str) -> None:
    floor, start = room(name)
    wrong = []
    for other in imports(name) - ROOTS:
        other_floor, other_start = room(other)
        if other_floor > floor or (other_floor == floor and other_start != start):
            wrong.append(other)
    assert wrong == [], f"{name} is on floor {floor} ({start})"


def test_users_names_are_imported_from_the_root_by_the_outside_only() -> None:
    allowed = ("fastblur.cli", "fastblur.__main__", "fastblur.demo", "fastblur.integrations")
    inside = [name for name in modules() if name not in ROOTS and not name.startswith(allowed)]
    assert [name for name in inside if imports(name) & ROOTS] == []


def test_there_is_no_circle() -> None:
    graph = {name: imports(name) - ROOTS for name in set(modules()) - ROOTS}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_the_pipeline_has_at_most_ten_modules_of_its_own() -> None:
    names = [path.name for path in (PACKAGE / "pipeline").glob("*.py")]
    assert len(names) <= 10, names


def functions() -> Iterator[tuple[str, str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function that is not compiled and not in `LOOSE`: its module, its name with its classes, and its tree."""

    def below(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            inner = f"{prefix}.{child.name}" if named else prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_compiled(child):
                yield inner.lstrip("."), child
            yield from below(child, inner)

    for module, tree in modules().items():
        if not module.startswith(LOOSE):
            for name, function in below(tree, ""):
                yield module, name, function


def is_compiled(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether Numba or Triton compiles it: its parameters are the loop's variables, and a call costs nothing."""
    names = [ast.unparse(one) for one in function.decorator_list]
    return any(name.startswith(("compiled", "triton.jit")) for name in names)


def test_no_function_is_too_long() -> None:
    """Without its docstring, which may be as long as users need it."""
    long = {}
    for module, name, function in functions():
        first = function.body[0]
        documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        assert function.end_lineno is not None
        lines = function.end_lineno - function.lineno + 1
        if documented:
            assert first.end_lineno is not None
            lines -= first.end_lineno - first.lineno + 1
        if lines > LINES:
            long[f"{module}.{name}"] = lines
    assert long == {}


PUBLIC = {  # those with more parameters, which users name in the call
    "fastblur.audit.report.audit",
    "fastblur.ops.blur.blur",
    "fastblur.pipeline.detect_files.detect",
    "fastblur.pipeline.run_files.run",
}


def test_no_function_has_too_many_parameters() -> None:
    many = {}
    for module, name, function in functions():
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        count = len([one for one in arguments if one.arg not in ("self", "cls")])
        if count > PARAMETERS:
            many[f"{module}.{name}"] = count
    assert {name: count for name, count in many.items() if name not in PUBLIC} == {}
    assert many.keys() >= PUBLIC, "one that has fewer by now needs no exception"


def files_on_the_page() -> list[str]:
    """The modules in the layout of docs/architecture.md, as paths below fastblur/."""
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text("utf-8")
    block = page.split("## The layout")[1].split("```")[1]
    folders: list[str] = []
    found = []
    for line in block.split("benchmarks/")[0].splitlines():
        words = line.split()
        depth = (len(line) - len(line.lstrip())) // 2
        if words and words[0].endswith("/"):
            folders[depth:] = [words[0]]
        found += ["".join(folders[1:depth]) + word for word in words if word.endswith(".py")]
    return found


def test_the_page_lists_every_module() -> None:
    listed = files_on_the_page()
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert len(listed) == len(set(listed))
    assert set(listed) == {path for path in there if not path.endswith("/__init__.py")}
