"""House rules that no linter knows: where tests are, what imports what, the tree of errors."""

import ast
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gimel
from gimel.backend import errors
from gimel.backend.errors import GimelError

ROOT = Path(__file__).parent.parent
TESTS = sorted(ROOT.glob("tests/**/*.py"))
BENCHES = sorted(ROOT.glob("bench/*.py"))
TEST_MODULES = [path for path in TESTS if path.name.startswith("test_")]


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of each module, or name in a module, that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# Where tests are

# Folders whose tests are about several rooms at once.
SPANNING = {
    "tests/docs": "a page in docs/ is about several rooms at once",
    "tests/browser": "a page in Chromium needs the snippet, AlephBet and a backend",
    "tests/senders": "the code of docs/senders needs other languages' tools and a backend",
}


def subject_of(path: Path) -> Path | None:
    """Return the module, package or page that a test module is about.

    test_x.py is about x, and so is test_x_some_aspect.py.
    """
    room = path.parent.relative_to(ROOT / "tests")
    if room.parts[0] == "bench":
        place = ROOT / room
    else:
        place = ROOT / ("tests" if room.parts[0] == "full" else "gimel") / room
    words = path.stem.removeprefix("test_").split("_")
    for length in range(len(words), 0, -1):
        name = "_".join(words[:length])
        for candidate in (f"{name}.py", f"{name}/__init__.py", f"{name}.mjs", f"{name}.html"):
            if (place / candidate).exists():
                return place / candidate
    return None


def test_a_test_module_mirrors_what_it_tests() -> None:
    spanning = {ROOT / "tests", *(ROOT / folder for folder in SPANNING)}
    mirrors = [path for path in TEST_MODULES if path.parent not in spanning]
    assert [path for path in mirrors if not subject_of(path)] == []


def test_a_test_of_javascript_mirrors_the_module_that_it_tests() -> None:
    tests = sorted(ROOT.glob("tests/**/*.test.mjs"))
    assert tests
    for path in tests:
        room = path.parent.relative_to(ROOT / "tests")
        assert (ROOT / "gimel" / room / path.name.replace(".test.", ".")).exists(), path.name


def test_a_test_module_in_the_wrong_room_is_found() -> None:
    assert subject_of(ROOT / "tests/backend/redis/test_exact.py") is None
    assert subject_of(ROOT / "tests/backend/counting/test_exact_cluster.py") is not None
    for folder in SPANNING:
        assert (ROOT / folder).is_dir()


def test_a_module_fits_into_400_lines() -> None:
    modules = [*ROOT.glob("gimel/**/*.py"), *ROOT.glob("gimel/**/*.mjs"), *TESTS, *BENCHES]
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in modules}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


# What tests and benches import


def wrong_imports(path: Path, allowed: str) -> list[str]:
    """Return what a file imports of tests and benches that does not match the pattern."""
    names = [name for name in imported(path) if name.startswith(("tests.", "bench"))]
    return [f"{path.name}: {name}" for name in names if not re.match(allowed, name)]


def test_a_test_module_imports_no_other_and_no_fixture() -> None:
    others = r"(?!.*\.(test_\w+|conftest)\b)"
    assert [wrong for path in TEST_MODULES for wrong in wrong_imports(path, others)] == []
    unused = "noqa: " + "F401"
    assert [path for path in TESTS if unused in path.read_text("utf-8")] == []


def test_benches_import_the_support_of_tests_and_their_tests_import_them() -> None:
    for path in BENCHES:
        assert wrong_imports(path, r"bench|tests\.support\.") == []
    for path in TESTS:
        in_bench = path.parent == ROOT / "tests" / "bench"
        assert wrong_imports(path, r"bench|tests" if in_bench else "tests") == []


# The contracts of import-linter

LAYERS = "Imports go down, and every module has a floor"
SHIPPED = "What ships to Lambda imports redis and the standard library only"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and of its contracts, to break them."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gimel", tmp_path / "gimel", ignore=ignored)
    return tmp_path


def lint(folder: Path) -> tuple[int, str]:
    """Return the exit code and the output of `lint-imports` in a folder."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_contracts_are_kept(copy: Path) -> None:
    code, output = lint(copy)
    assert code == 0
    assert " kept, 0 broken." in output


def test_a_module_without_a_floor_breaks_a_contract(copy: Path) -> None:
    (copy / "gimel" / "stray.py").write_text('"""A module that nobody placed."""\n')
    code, output = lint(copy)
    assert code == 1
    assert f"{LAYERS} BROKEN" in output
    assert "gimel.stray" in output


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("backend/results/analysis.py", "from gimel.terminal import sample_size", LAYERS),
        ("backend/limits.py", "import boto3", SHIPPED),
    ],
)
def test_a_wrong_import_breaks_a_contract(
    copy: Path, module: str, statement: str, contract: str
) -> None:
    path = copy / "gimel" / module
    path.write_text(f"{path.read_text('utf-8')}\n\n{statement}  # noqa\n", "utf-8")
    code, output = lint(copy)
    assert code == 1
    assert f"{contract} BROKEN" in output


# What is imported when

HELP = """
import sys
from gimel.cli import main
try:
    main(["--help"])
except SystemExit as ended:
    assert ended.code == 0
"""


def modules_after(program: str) -> set[str]:
    """Return the names of all modules that a new process has after the program."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint('\\n' + '\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("program", [HELP, "import gimel.local.server"], ids=["help", "local"])
def test_what_needs_no_aws_imports_neither_boto3_nor_the_deploy_engine(program: str) -> None:
    found = modules_after(program)
    assert "gimel.backend.errors" in found
    unneeded = r"boto3|botocore|gimel\.deploy|gimel\.stack(\..*)?"
    assert not {name for name in found if re.fullmatch(unneeded, name)}


@pytest.mark.parametrize("handler", ["track", "all", "experiment", "delete"])
@pytest.mark.parametrize("path", [str(ROOT), None], ids=["PYTHONPATH", "installed"])
def test_a_handler_is_found_above_a_clone_that_is_named_gimel(
    tmp_path: Path, handler: str, path: str | None
) -> None:
    """There, the clone could pass for a package without `__init__`, which has no handlers."""
    (tmp_path / "gimel").symlink_to(ROOT)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", f"import gimel; print(gimel.{handler}.__module__)"],
        cwd=tmp_path,
        env=environ | ({"PYTHONPATH": path} if path else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("gimel.gimel\n", "")


# Errors

# Exceptions that cannot be in the tree.
APART = {
    "CommandError": "click prints a subclass of its own exception only",
    "SecretError": "a redis.RedisError, as everything that keeps events from Redis",
}


def exceptions() -> Iterator[type[Exception]]:
    """Yield each exception that a module of gimel defines."""
    for found in pkgutil.walk_packages(gimel.__path__, "gimel."):
        if found.name == "gimel.__main__":
            continue
        module = importlib.import_module(found.name)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Exception) and value.__module__ == module.__name__:
                yield value


def drawn_tree() -> dict[str, tuple[str | None, str | None]]:
    """Return the tree in the docstring of errors.py: each name's parent and module."""
    above: list[str] = []
    tree: dict[str, tuple[str | None, str | None]] = {}
    lines = re.findall(r"^([│├└─ ]*)(\w+Error) +(\S+\.py)?", errors.__doc__ or "", re.M)
    for indent, name, file in lines:
        del above[len(indent) // 4 :]
        module = "gimel." + file.removesuffix(".py").replace("/", ".") if file else None
        tree[name] = (above[-1] if above else None, module)
        above.append(name)
    return tree


def test_every_error_is_in_the_tree_that_is_drawn() -> None:
    found = {each.__name__: each for each in exceptions() if each.__name__ not in APART}
    assert all(issubclass(each, GimelError) for each in found.values())
    drawn = drawn_tree()
    assert drawn.pop("GimelError") == (None, None)
    assert found.pop("GimelError") is GimelError
    assert drawn == {
        name: (each.__bases__[0].__name__, each.__module__) for name, each in found.items()
    }
