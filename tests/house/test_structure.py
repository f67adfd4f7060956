"""The house rules that a machine can check: who may import whom, what pure floors may not do, how large things get."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "waypost"

FLOORS = {
    "conversation": 0,
    "wire": 0,
    "config": 0,
    "dialects": 1,
    "routing": 1,
    "governance": 1,
    "state": 2,
    "ledger": 2,
    "upstream": 2,
    "profiles": 2,
    "telemetry": 2,
    "gateway": 3,
    "server": 4,
    "cli": 4,
    "evals": 4,
    "sim": 4,
    "bench": 4,
    "app": 5,
    "asgi": 5,
    "library": 5,
}
# `cli` starts what `app` builds, and the package itself exports the library's door.
UPWARD = {("cli", "app")}
PURE = {"conversation", "wire", "dialects", "routing", "governance"}
IMPURE_MODULES = {"asyncio", "socket", "time", "random", "secrets", "threading", "subprocess", "selectors", "uvloop"}
MODULES = sorted(SOURCE.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield f"{node.module}.{node.names[0].name}" if node.module == "waypost" else str(node.module)


def rooms_imported(path: Path) -> Iterator[tuple[str, str]]:
    for module in imports(parsed(path)):
        parts = module.split(".")
        if parts[0] == "waypost" and len(parts) > 1 and parts[1] in FLOORS:
            yield parts[1], module


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_go_down(path: Path) -> None:
    here = room(path)
    if here not in FLOORS:
        return
    for there, module in rooms_imported(path):
        allowed = FLOORS[there] <= FLOORS[here] or (here, there) in UPWARD
        assert allowed, f"{name(path)} (floor {FLOORS[here]}) imports {module} (floor {FLOORS[there]})"


@pytest.mark.parametrize("path", sorted((SOURCE / "dialects").rglob("*.py")), ids=name)
def test_dialects_are_strangers(path: Path) -> None:
    parts = path.relative_to(SOURCE / "dialects").parts
    if len(parts) == 1:
        return
    folders = {folder.name for folder in (SOURCE / "dialects").iterdir() if folder.is_dir()}
    for module in imports(parsed(path)):
        words = module.split(".")
        if words[:2] == ["waypost", "dialects"] and len(words) > 2 and words[2] in folders:
            assert words[2] == parts[0], f"{name(path)} imports its sibling {module}"


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in PURE], ids=name)
def test_pure_floors_do_no_io(path: Path) -> None:
    tree = parsed(path)
    for module in imports(tree):
        assert module.split(".")[0] not in IMPURE_MODULES, f"{name(path)} imports {module}"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith), f"{name(path)}:{node.lineno} awaits"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}, f"{name(path)}:{node.lineno} does I/O"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_sizes(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 500, f"{name(path)} has {lines} lines; 500 is the most"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{name(path)}:{node.lineno} {node.name} has {length} lines; 60 is the most"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nothing_global(path: Path) -> None:
    tree = parsed(path)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"{name(path)}:{node.lineno} has a global"
    for statement in tree.body:
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.Assign | ast.AnnAssign) and value is not None:
            empty = (isinstance(value, ast.List | ast.Set) and not value.elts) or (
                isinstance(value, ast.Dict) and not value.keys
            )
            assert not empty, f"{name(path)}:{statement.lineno} holds mutable module state"
        elif isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            pytest.fail(f"{name(path)}:{statement.lineno} does something at import")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_public_modules_say_what_they_know(path: Path) -> None:
    tree = parsed(path)
    if tree.body:
        assert ast.get_docstring(tree), f"{name(path)} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert not re.search(r"(Manager|Helper|Utils?|Base)$", node.name), f"{name(path)}: {node.name}"


def test_importing_the_package_does_no_work() -> None:
    import subprocess
    import sys

    code = "import sys, waypost; print(sorted(m for m in sys.modules if m.startswith('waypost')))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['waypost']"
