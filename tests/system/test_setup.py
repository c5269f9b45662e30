# SPDX-License-Identifier: MIT
"""tools/setup where it may not install: it lists what is missing and stops.

The machine without the packages is made of a PATH that has only a few programs. That it installs
them where it may is tried in a fresh machine, by tests/system/fresh-machine.

Knows tools/setup. Changes with it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

BARE = ("sh", "dirname", "id", "grep", "tr", "cat")


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    for name in BARE:
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    return str(tmp_path)


def test_without_apt_it_lists_what_is_missing(root: Path, run, bare_path: str):
    printed = run(root / "tools/setup", "check", status=1, PATH=bare_path)
    for package in ("gcc", "libatomic-ops-dev", "libyajl-dev", "python3-venv", "valgrind", "scdoc"):
        assert package in printed


def test_quickstart_needs_less(root: Path, run, bare_path: str):
    printed = run(root / "tools/setup", "quickstart", status=1, PATH=bare_path)
    assert "libxxhash-dev" in printed
    assert "valgrind" not in printed


def test_another_word_is_refused(root: Path, run):
    assert "say quickstart, check, bench, wheel or weak" in run(
        root / "tools/setup", "everything", status=2
    )
