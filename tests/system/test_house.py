# SPDX-License-Identifier: MIT
"""The checker of the house sees each rule broken, once each, in a small checkout.

Knows tools/check-house.py. Changes when a rule is added.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = "/* SPDX-License-Identifier: MIT\n *\n * A file of an example. */\n"
TABLE = HEAD.replace(" */", "\n *\n *   R1  write → read   why */")
SOUND = {
    "include/shmwal.h": HEAD + "SHMWAL_API int shmwal_open(const char *path);\n",
    "src/shmwal.map": "{ shmwal_open; };\n",
    "src/ring/ring.c": TABLE + "int a; /* R1 */\nint b; /* R1 */\n",
}


@pytest.fixture
def check(root: Path, tmp_path: Path):
    """Checks a small checkout with these files changed; returns what was printed."""

    def check_files(changed: dict[str, str]) -> str:
        (tmp_path / "tools").mkdir()
        shutil.copy(root / "tools/check-house.py", tmp_path / "tools")
        for name, text in {**SOUND, **changed}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        done = subprocess.run(
            [sys.executable, tmp_path / "tools/check-house.py"], capture_output=True, text=True
        )
        assert done.returncode == (1 if done.stdout else 0), done.stderr
        return done.stdout

    return check_files


def test_a_sound_checkout_passes(check):
    assert check({}) == ""


LONG = "    work();\n" * 70
BROKEN = {
    "no licence": {"src/base/a.c": "/* A file of an example. */\n"},
    "no head": {"src/base/a.c": "/* SPDX-License-Identifier: MIT */\n"},
    "a long line": {"src/base/a.c": HEAD + "/* " + "x" * 100 + " */\n"},
    "a note to oneself": {"src/base/a.c": HEAD + "/* " + "TO" + "DO */\n"},
    "ring knows segment": {"src/ring/a.c": HEAD + '#include "segment/segment.h"\n'},
    "segment knows ring": {"src/segment/a.c": HEAD + '#include "ring/ring.h"\n'},
    "store knows region": {"src/store/a.c": HEAD + '#include "region/region.h"\n'},
    "producer knows flusher": {"src/producer/a.c": HEAD + '#include "flusher/flusher.h"\n'},
    "ring calls the system": {"src/ring/a.c": HEAD + "#include <unistd.h>\n"},
    "a tool knows the inside": {
        "tools/duralog/a.c": HEAD + '#include "ring/ring.h"\n',
        "src/ring/ring.h": HEAD,
    },
    "a long function": {"src/base/a.c": HEAD + "int f(void)\n{\n" + LONG + "}\n"},
    "a long Python function": {
        "tools/a.py": "# SPDX-License-Identifier: MIT\n# An example.\ndef f():\n" + LONG
    },
    "an ordering marked once": {"src/ring/ring.c": TABLE + "int a; /* R1 */\n"},
    "an ordering in no table": {"src/ring/a.c": HEAD + "int a; /* R7 */\n"},
    "a hidden function": {"src/shmwal.map": "{ };\n"},
    "a function nobody declared": {"src/shmwal.map": "{ shmwal_open; shmwal_shut; };\n"},
}


@pytest.mark.parametrize("changed", BROKEN.values(), ids=BROKEN.keys())
def test_it_sees_what_breaks_a_rule(check, changed: dict[str, str]):
    assert len(check(changed).splitlines()) == 1
