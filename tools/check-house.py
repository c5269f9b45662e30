# SPDX-License-Identifier: MIT
"""The rules of the house that no compiler checks; prints each breach with file and line.

Every rule is a function that yields breaches. They read the sources as text, which is enough, since
the formatter has seen to it that functions begin and end in the first column.

Knows the layers of src/ and the conventions of the comments. Changes when a rule is added.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
HEAD_WORDS_MIN = 2

Breach = tuple[Path, int, str]

# Whom each part of src/ may include, besides itself. `ring` and `segment` never meet but in the
# flusher; the ring knows no system, so that it can be checked and stepped.
BELOW_STORE = ("base", "sys", "format")
ALLOWED = {
    "base": (),
    "sys": ("base",),
    "format": ("base",),
    "ring": ("base",),
    "segment": BELOW_STORE,
    "store": (*BELOW_STORE, "segment"),
    "region": (*BELOW_STORE, "ring", "store/directory.h", "store/store.h"),
    "reader": (*BELOW_STORE, "segment", "store", "region"),
    "producer": (*BELOW_STORE, "ring", "store", "region"),
    "flusher": (*BELOW_STORE, "ring", "segment", "store", "region"),
    "python": (),
}
PUBLIC_HEADER = "shmwal.h"
KNOW_PUBLIC = ("producer", "reader", "flusher", "region", "store", "python")
PURE = ("ring", "format")
SYSTEM_HEADER = re.compile(r"sys/|linux/|unistd\.h|fcntl\.h|poll\.h|signal\.h|pthread\.h")


@cache
def read(path: Path) -> str:
    return path.read_text()


def list_files() -> list[Path]:
    """What is in the repository or about to be: tracked, and untracked but not ignored."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (ROOT / name for name in sorted(set(listed.stdout.splitlines())))
    return [path for path in paths if path.is_file() and is_source(path)]


def is_source(path: Path) -> bool:
    if path.suffix in {".c", ".h", ".py", ".pyi", ".sh", ".pml", ".map", ".service"}:
        return True
    return path.name == "Makefile" or path.read_bytes()[:2] == b"#!"


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


# ---- Rules for every file ------------------------------------------------------------------------


def check_head(path: Path) -> Iterator[Breach]:
    """An SPDX line, and a comment that says what the file is for."""
    if path.name in {"py.typed"} or path.suffix in {".map"}:
        return
    head = "\n".join(read(path).splitlines()[:12])
    if "SPDX-License-Identifier: MIT" not in head:
        yield path, 1, "no SPDX-License-Identifier in its head"
    comment = re.sub(r"^#!.*|SPDX-License-Identifier: MIT|[^A-Za-z0-9 \n]", "", head)
    first = next((line for line in comment.splitlines() if line.strip()), "")
    if len(first.split()) < HEAD_WORDS_MIN:
        yield path, 1, "no comment in its head that says what it is for"


def check_lines(path: Path) -> Iterator[Breach]:
    for number, line in enumerate(read(path).splitlines(), 1):
        if len(line) > COLUMNS_MAX:
            yield path, number, f"{len(line)} columns; {COLUMNS_MAX} are allowed"
        if line != line.rstrip():
            yield path, number, "blanks at its end"
        if re.search(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", line):
            yield path, number, "a note to oneself; finish it"


# ---- Rules for C ---------------------------------------------------------------------------------


def check_includes(path: Path) -> Iterator[Breach]:
    parts = path.relative_to(ROOT).parts
    for match in re.finditer(r'^#include ([<"])([^>"]+)', read(path), re.MULTILINE):
        kind, name = match.groups()
        number = line_of(read(path), match.start())
        if parts[0] == "src" and not src_may_include(parts[1], kind, name):
            yield path, number, f"{parts[1]} must not know {name}"
        if parts[0] == "tools" and kind == '"' and (ROOT / "src" / name).exists():
            yield path, number, f"a tool knows {PUBLIC_HEADER} only, not {name}"


def src_may_include(module: str, kind: str, name: str) -> bool:
    if name == PUBLIC_HEADER:
        return module in KNOW_PUBLIC
    if kind == "<":
        return module not in PURE or not SYSTEM_HEADER.match(name)
    other = name.split("/")[0]
    return other == module or other in ALLOWED[module] or name in ALLOWED[module]


def check_c_functions(path: Path) -> Iterator[Breach]:
    """From the line that begins a definition to the brace that ends it, both in column 1."""
    start = 0
    for number, line in enumerate(read(path).splitlines(), 1):
        if re.match(r"[A-Za-z_].*\(", line) and not line.endswith(";"):
            start = number
        elif line == "}" and start:
            if number - start >= FUNCTION_LINES_MAX:
                yield path, start, f"a function of {number - start + 1} lines"
            start = 0


def check_orderings(paths: list[Path]) -> Iterator[Breach]:
    """Each pair of memory orderings that a table names, as in ` *   R1  commit → read`, is marked
    by its tag on both sides in the code, and the code marks none that no table names."""
    named: dict[str, Breach] = {}
    marked: dict[str, list[Breach]] = {}
    for path in paths:
        for number, line in enumerate(read(path).splitlines(), 1):
            row = re.match(r" \* {2,}([A-Z]\d+) {2,}\S", line)
            if row:
                named[row[1]] = (path, number, "")
                continue
            for comment in re.findall(r"/\*.*|^ +\* .*", line):
                for tag in re.findall(r"\b([A-Z]\d+)\b(?!-bit)", comment):
                    marked.setdefault(tag, []).append((path, number, ""))
    for tag, (path, number, _) in named.items():
        if len(marked.get(tag, [])) < 2:
            yield path, number, f"the pair {tag} is not marked on both sides in the code"
    for tag, places in marked.items():
        if tag not in named:
            yield *places[0][:2], f"{tag} is in no table of memory orderings"


def check_symbols() -> Iterator[Breach]:
    """What is exported is declared, in the public header or for the Python package, and so on."""
    map_file = ROOT / "src/shmwal.map"
    headers = (ROOT / "include" / PUBLIC_HEADER, ROOT / "src/python/python.h")
    declared = {
        name: header
        for header in filter(Path.exists, headers)
        for name in re.findall(r"^SHMWAL_API [^;(]*?(\w+)\(", read(header), re.MULTILINE)
    }
    exported = set(re.findall(r"\b((?:shmwal|duralog)_\w+);", read(map_file)))
    for name in sorted(declared.keys() - exported):
        yield declared[name], 1, f"{name} is declared but not in src/shmwal.map"
    for name in sorted(exported - declared.keys()):
        yield map_file, 1, f"{name} is exported but not in include/{PUBLIC_HEADER}"


# ---- Rules for Python ----------------------------------------------------------------------------


def check_py_functions(path: Path) -> Iterator[Breach]:
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield path, node.lineno, f"{node.name} has {lines} lines"


# ---- All of them ---------------------------------------------------------------------------------


def check_all() -> Iterator[Breach]:
    files = list_files()
    c_files = [path for path in files if path.suffix in {".c", ".h"}]
    for path in files:
        yield from check_head(path)
        yield from check_lines(path)
    for path in c_files:
        yield from check_includes(path)
        yield from check_c_functions(path)
    for path in files:
        if path.suffix == ".py":
            yield from check_py_functions(path)
    yield from check_orderings([path for path in c_files if path.is_relative_to(ROOT / "src")])
    yield from check_symbols()


def main() -> int:
    breaches = list(check_all())
    for path, number, sentence in breaches:
        print(f"{path.relative_to(ROOT)}:{number}: {sentence}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
