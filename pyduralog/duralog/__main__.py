# SPDX-License-Identifier: MIT
"""`python -m duralog`: the command line that came with the library.

Installing the package makes it a command, `duralog`, too. Knows where _native found the library.
Changes with where the program is installed.
"""

from __future__ import annotations

import os
import sys

from ._errors import DuraLogError
from ._native import library


def _is_program(path: str) -> bool:
    """And no script: the one that pip has made would start itself for ever."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _find() -> str | None:
    places = [os.path.dirname(library().path), *os.get_exec_path()]
    programs = (os.path.join(place, "duralog") for place in places if place)
    return next(filter(_is_program, programs), None)


def main() -> None:
    """Becomes the `duralog` beside the library; the one in PATH if there is none."""
    try:
        program = _find()
    except DuraLogError as error:
        sys.exit(f"duralog: {error}")
    if program is None:
        sys.exit("duralog: no program duralog beside the library or in PATH; use `make install`")
    try:
        os.execv(program, ["duralog", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"duralog: {program} cannot be run: {error.strerror}; install the package anew")


if __name__ == "__main__":
    main()
