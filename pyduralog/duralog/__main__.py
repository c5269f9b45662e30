# SPDX-License-Identifier: MIT
"""`python -m duralog`: the command line that came with the library.

Knows where _native found that. Changes with where the program is installed.
"""

import os
import sys

from ._native import library


def main() -> None:
    """Becomes the `duralog` beside the library; the one in PATH if there is none."""
    beside = os.path.join(os.path.dirname(library().path), "duralog")
    program = beside if os.path.exists(beside) else "duralog"
    try:
        os.execvp(program, ["duralog", *sys.argv[1:]])
    except OSError as error:
        sys.exit(
            f"duralog: {program} cannot be run: {error.strerror}; install it with `make install`"
        )


if __name__ == "__main__":
    main()
