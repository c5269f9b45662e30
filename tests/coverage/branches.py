# SPDX-License-Identifier: MIT
"""Which branches of the C code no test takes, and why; `make coverage` ends here.

Everything is built by clang with counters that lie in mapped files, so that a process that is
killed has counted up to that moment. The suites run, and each side of each condition that was
never taken is looked up in not-taken.txt. There every one has a reason, written by a person, and
is named by file, function, way and the condition's own text, so that the list outlives edits.
Fails if a branch without a reason was not taken, or one with a reason was taken or is no longer
there. What hangs on the order of events or on the machine is listed as such, and may be taken or
not: that is only said.

Knows tests/run, the Makefile and llvm-cov's JSON. Changes when suites are added, or parts to look
at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LIST = Path(__file__).with_name("not-taken.txt")
PARTS = ("ring", "flusher", "segment", "store", "reader", "producer", "region", "format")
SUITES = ("unit", "cli", "python", "kill", "mad", "step", "torture")
CHANCE = "taken this time, as it may be"
EXPANSION = 1  # llvm-cov's kind of a region that stands for a macro
IGNORED = ("INVARIANT", "static_assert")  # their other side is a bug, or cannot be compiled

Branch = tuple[str, str, str, str]  # file, function, "true" or "false", text of the condition
Place = tuple[str, str, int, int, str]  # file, function, line, column, text


def measure(build: Path) -> bool:
    """Builds everything with counters, and runs the suites; whether all of them passed."""
    profiles = ROOT / build / "profiles"
    counters = f"-fprofile-instr-generate={profiles}/%m%c.profraw"
    environment = {
        **os.environ,
        "B": str(build),
        "CC": "clang",
        "CFLAGS": f"-O1 -g {counters} -fcoverage-mapping -fprofile-update=atomic"
        " -mllvm -runtime-counter-relocation",
        "LDFLAGS": "-fprofile-instr-generate",
    }
    profiles.mkdir(parents=True, exist_ok=True)
    for old in profiles.glob("*.profraw"):
        old.unlink()
    command = [sys.executable, "tests/run", *SUITES]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def export(build: Path) -> list[dict[str, Any]]:
    """What llvm-cov has to say of each function."""
    at = ROOT / build
    merged = at / "merged.profdata"
    profiles = sorted((at / "profiles").glob("*.profraw"))
    subprocess.run([tool("llvm-profdata"), "merge", "-o", merged, *profiles], check=True)
    programs = [at / "libshmwal.so", at / "duralog", *sorted((at / "tests").glob("test_*"))]
    objects = [f"-object={program}" for program in programs]
    command = [tool("llvm-cov"), "export", "-format=text", f"-instr-profile={merged}"]
    done = subprocess.run(
        [*command, at / "duralog-flusher", *objects], check=True, stdout=subprocess.PIPE
    )
    functions: list[dict[str, Any]] = json.loads(done.stdout)["data"][0]["functions"]
    return functions


def tool(name: str) -> str:
    """Debian has the tool beside clang, and under clang's version."""
    root = subprocess.run(
        ["clang", f"-print-prog-name={name}"], check=True, capture_output=True, text=True
    )
    return root.stdout.strip()


@cache
def lines_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def text_at(path: str, line: int, column: int, end_line: int, end_column: int) -> str:
    """As it stands in the source, in one line."""
    lines = lines_of(path)[line - 1 : end_line]
    lines[-1] = lines[-1][: end_column - 1]
    lines[0] = lines[0][column - 1 :]
    return " ".join(" ".join(lines).split())


def branches_of(function: dict[str, Any]) -> Iterator[tuple[Place, int, int]]:
    """Each condition, where it stands, and how often it was true and false."""
    name = function["name"].split(":")[-1]
    expansions = {region[6]: region for region in function["regions"] if region[7] == EXPANSION}
    for line, column, end_line, end_column, true, false, file, *_ in function["branches"]:
        text = text_at(function["filenames"][file], line, column, end_line, end_column)
        while file in expansions:
            line, column, end_line, end_column, _, file, *_ = expansions[file]
            macro = text_at(function["filenames"][file], line, column, end_line, end_column)
            text = f"{macro}: {text}"
        path = str(Path(function["filenames"][file]).relative_to(ROOT))
        if not text.startswith(IGNORED):
            yield (path, name, line, column, text), true, false


def count(functions: list[dict[str, Any]]) -> dict[Branch, int]:
    """How often each side of each condition was taken. Equal conditions of one function are
    numbered in their order."""
    taken: dict[Place, list[int]] = defaultdict(lambda: [0, 0])
    for function in functions:
        if not all(name.startswith(str(ROOT / "src")) for name in function["filenames"][:1]):
            continue
        for place, true, false in branches_of(function):
            taken[place][0] += true
            taken[place][1] += false
    seen: Counter[tuple[str, str, str]] = Counter()
    result = {}
    for path, name, line, column, text in sorted(taken):
        seen[path, name, text] += 1
        number = seen[path, name, text]
        shown = text if number == 1 else f"{text} [{number}]"
        for way, times in zip(("true", "false"), taken[path, name, line, column, text]):
            if path.split("/")[1] in PARTS:
                result[path, name, way, shown] = times
    return result


def read_list(text: str) -> dict[Branch, str]:
    """A line `== reason ==`, then the branches that it is the reason for; `~~ reason ~~` where they
    may be taken all the same. The reason keeps its first two characters, which tell."""
    reasons, reason = {}, ""
    for line in text.splitlines():
        if line.startswith(("== ", "~~ ")):
            reason = line.rstrip("=~ ")
        elif line and not line.startswith("#"):
            path, name, way, condition = line.split(None, 3)
            reasons[path, name, way, condition] = reason
    return reasons


def compare(counts: dict[Branch, int], reasons: dict[Branch, str]) -> dict[str, list[Branch]]:
    """What is wrong with the list, by what is to be said of it; last, what is not wrong."""
    taken = [b for b in reasons if counts.get(b)]
    return {
        "not taken, and without a reason": [
            b for b, times in counts.items() if times == 0 and not reasons.get(b)
        ],
        "listed, and no longer there": [b for b in reasons if b not in counts],
        "listed, and taken": [b for b in taken if reasons[b].startswith("==")],
        CHANCE: [b for b in taken if reasons[b].startswith("~~")],
    }


def print_table(counts: dict[Branch, int]) -> None:
    """By file and in all."""
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (path, *_), times in counts.items():
        for name in (path, "all"):
            rows[name][0] += 1
            rows[name][1] += times > 0
    print("| file | branches | taken | share |\n|---|---:|---:|---:|")
    for name, (branches, taken) in sorted(rows.items(), key=lambda row: (row[0] == "all", row)):
        print(f"| {name} | {branches} | {taken} | {100 * taken / branches:.0f} % |")


def report(counts: dict[Branch, int], reasons: dict[Branch, str]) -> bool:
    """Says what was found; whether the list is right."""
    print_table(counts)
    found = compare(counts, reasons)
    for words, branches in found.items():
        for branch in branches:
            print(f"{words}:", *branch)
    return not any(branches for words, branches in found.items() if words != CHANCE)


def main(arguments: list[str]) -> int:
    build = Path(os.environ.get("B", "build")) / "coverage"
    passed = "--again" in arguments or measure(build)  # else by what was measured last
    right = report(count(export(build)), read_list(LIST.read_text()))
    return 0 if right and passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
