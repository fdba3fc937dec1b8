"""The layers of auth: who may import what."""

import ast
from pathlib import Path

import pytest

import auth

FOLDER = Path(auth.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))

ALLOWED = {
    "server": set[str](),
    "fastapi": {"routes"},
    "pydantic": {"routes", "credentials/identity.py"},
    "jose": {"jws.py"},
    "aiohttp": {"credentials/fetch.py"},
    "argon2": {"passwords.py"},
    "sqlite3": {"sqlite.py"},
    "psycopg": {"postgresql.py", "postgresql_address.py"},
}


def imported(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}}


def part_of(file: Path) -> str:
    """The file's own name; all the routes are one part."""
    within = file.relative_to(FOLDER)
    return "routes" if within.parts[0] == "routes" else str(within)


@pytest.mark.parametrize("library", ALLOWED)
def test_a_library_is_imported_by_its_own_file_alone(library: str) -> None:
    assert {part_of(file) for file in FILES if library in imported(file)} == ALLOWED[library]
