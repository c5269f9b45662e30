# SPDX-License-Identifier: MIT
"""`make install`, seen by those who build on it: C and C++ programs that find it by pkg-config.

Knows the public surface only. Changes when another thing is installed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

PREFIX = "/opt/duralog"
USE_ONCE = """
#include <shmwal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    shmwal *log;
    shmwal_reader *reader;
    shmwal_record record;
    uint64_t lsn;
    int failed = argc != 2 || shmwal_open(argv[1], NULL, &log) < 0 ||
                 shmwal_append(log, "hello", 5, &lsn) < 0 ||
                 shmwal_wait(log, lsn, SHMWAL_DURABLE, -1) < 0 || shmwal_close(log) < 0 ||
                 shmwal_reader_open(argv[1], 0, &reader) < 0 ||
                 shmwal_reader_next(reader, &record) != 1 || record.length != 5 ||
                 memcmp(record.data, "hello", 5) != 0 || shmwal_reader_close(reader) < 0 ||
                 shmwal_stop(argv[1], -1) < 0;
    puts(failed ? shmwal_error() : shmwal_version());
    return failed;
}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("install")


@pytest.fixture
def destination(installed: Path, build: Path, run) -> Path:
    """Built apart, since another PREFIX is another build."""
    own = build / "install"
    run("make", "-s", f"B={own}", f"PREFIX={PREFIX}", f"DESTDIR={installed}", "install")
    return installed


def pkg_config(run, destination: Path, *options: str) -> list[str]:
    directory = f"{destination}{PREFIX}/lib/pkgconfig"
    environment = {"PKG_CONFIG_PATH": directory, "PKG_CONFIG_SYSROOT_DIR": str(destination)}
    return run("pkg-config", *options, "shmwal", **environment).split()


@pytest.mark.parametrize(("compiler", "suffix"), [("gcc", "c"), ("g++", "cc")])
@pytest.mark.parametrize("linked", ["shared", "static"])
def test_a_program_finds_the_library_by_pkg_config(
    destination: Path, run, tmp_path: Path, compiler: str, suffix: str, linked: str
):
    source, program = tmp_path / f"once.{suffix}", tmp_path / "once"
    source.write_text(USE_ONCE)
    options = ["--cflags", "--libs"]
    library = f"{destination}{PREFIX}/lib"
    if linked == "static":
        flags = pkg_config(run, destination, "--static", *options)
        flags = [f"{library}/libshmwal.a" if part == "-lshmwal" else part for part in flags]
    else:
        flags = pkg_config(run, destination, *options)
    run(compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", source, *flags, "-o", program)
    environment = {
        "LD_LIBRARY_PATH": library,
        "DURALOG_FLUSHER": f"{destination}{PREFIX}/bin/duralog-flusher",
    }
    version = pkg_config(run, destination, "--modversion")
    assert run(program, tmp_path / "log", **environment).split() == version


def test_the_shared_library_bears_its_soname(destination: Path, run):
    library = Path(f"{destination}{PREFIX}/lib")
    assert os.readlink(library / "libshmwal.so") == "libshmwal.so.1"
    assert (library / "libshmwal.so.1").resolve().name == "libshmwal.so.1.0.0"
    assert "SONAME" in run("readelf", "-d", library / "libshmwal.so")
    assert "[libshmwal.so.1]" in run("readelf", "-d", library / "libshmwal.so")


def test_the_shared_library_shows_declared_symbols_only(destination: Path, root: Path, run):
    table = run("nm", "-D", "--defined-only", f"{destination}{PREFIX}/lib/libshmwal.so")
    shown = set(re.findall(r" T (\w+)", table))
    headers = [root / "include/shmwal.h", root / "src/python/python.h"]
    text = "".join(header.read_text() for header in headers)
    assert shown == set(re.findall(r"^SHMWAL_API [^;(]*?(\w+)\(", text, re.MULTILINE))


def test_all_of_it_is_there(destination: Path):
    names = {
        str(path.relative_to(f"{destination}{PREFIX}"))
        for path in Path(f"{destination}{PREFIX}").rglob("*")
        if not path.is_dir()
    }
    assert names >= {
        "bin/duralog",
        "bin/duralog-flusher",
        "include/shmwal.h",
        "lib/libshmwal.a",
        "lib/pkgconfig/shmwal.pc",
        "share/man/man1/duralog.1",
    }
    assert any(name.startswith("lib/systemd/system/") for name in names)


def test_installed_units_name_the_installed_flusher(destination: Path):
    units = list(Path(f"{destination}{PREFIX}/lib/systemd/system").iterdir())
    assert units
    for unit in units:
        assert f"{PREFIX}/bin/duralog-flusher" in unit.read_text()
