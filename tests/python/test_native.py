# SPDX-License-Identifier: MIT
"""Finding the library, and doing nothing before. Knows where the package looks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BUILD, ROOT

FIND = "from duralog import _native; print(_native.library().path)"


def python(script: str, packages: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DURALOG_")}
    clean.update(environment, PYTHONPATH=str(packages), PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(
        [sys.executable, "-c", script], env=clean, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(place: Path) -> Path:
    """Packages of a checkout that was never built."""
    ignored = shutil.ignore_patterns("__pycache__", "_native")
    shutil.copytree(ROOT / "pyduralog", place / "pyduralog", ignore=ignored)
    return place / "pyduralog"


def test_an_import_loads_no_library_and_starts_no_thread(checkout: Path) -> None:
    script = """
import duralog, os, threading
assert "libshmwal" not in open("/proc/self/maps").read()
assert threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1
"""
    done = python(script, checkout)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_environment_s_library_comes_first(checkout: Path) -> None:
    library = str(BUILD / "libshmwal.so")
    (checkout / "duralog/_native").mkdir()
    (checkout / "duralog/_native/libshmwal.so").symlink_to(library)
    done = python(FIND, checkout, DURALOG_LIBRARY=library)
    assert done.stdout.strip() == library


def test_then_the_packaged_one_then_the_checkout_s(checkout: Path) -> None:
    (checkout.parent / "build").symlink_to(BUILD)
    built = str(checkout.parent / "build/libshmwal.so")
    assert python(FIND, checkout).stdout.strip() == built
    packaged = checkout / "duralog/_native/libshmwal.so"
    packaged.parent.mkdir()
    packaged.symlink_to(BUILD / "libshmwal.so")
    assert python(FIND, checkout).stdout.strip() == str(packaged)


def test_then_the_system_s(checkout: Path, place: Path) -> None:
    (place / "lib").mkdir()
    (place / "lib/libshmwal.so.1").symlink_to(BUILD / "libshmwal.so")
    done = python(FIND, checkout, LD_LIBRARY_PATH=str(place / "lib"))
    assert done.stdout.strip() == "libshmwal.so.1"


@pytest.mark.parametrize("content", [None, b"no library"])
def test_none_or_a_broken_one_is_a_clear_error(
    checkout: Path, place: Path, content: bytes | None
) -> None:
    wrong = place / "libwrong.so"
    if content is not None:
        wrong.write_bytes(content)
    script = f"import duralog; duralog.DuraLog({str(place / 'app.log')!r})"
    done = python(script, checkout, DURALOG_LIBRARY=str(wrong))
    assert "DuraLogConfigurationError: libshmwal cannot be loaded" in done.stderr
    assert str(wrong) in done.stderr
    assert "pip install" in done.stderr


def test_another_library_is_a_clear_error(checkout: Path, place: Path) -> None:
    script = f"import duralog; duralog.DuraLog({str(place / 'app.log')!r})"
    done = python(script, checkout, DURALOG_LIBRARY="libc.so.6")
    assert "DuraLogConfigurationError: libshmwal cannot be loaded" in done.stderr
