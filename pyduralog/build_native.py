# SPDX-License-Identifier: MIT
"""The package's build hook: makes the library and its programs, and packs them.

`pip install .` lets setuptools build a wheel; the two commands here let it run make, put
libshmwal.so, duralog-flusher and duralog into the package's _native, and name the wheel after the
machine but after no version of Python, since ctypes needs none. An editable install uses the
checkout's build instead. A source distribution carries what make needs. Knows the Makefile's
targets and where their sources lie. Changes with those.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools.errors import ExecError

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ("libshmwal.so", "duralog-flusher", "duralog")
SOURCES = ("Makefile", "include/*.h", "src/**/*.[ch]", "src/*.map", "tools/duralog/*.[ch]")


def make() -> list[Path]:
    """The built files; DURALOG_BUILD names another build directory than `build`."""
    build = os.environ.get("DURALOG_BUILD", "build")
    files = [Path(build, name) for name in NATIVE]
    command = ["make", f"-j{os.cpu_count() or 1}", f"B={build}", *map(str, files)]
    try:
        subprocess.run(command, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ExecError(
            f"the C library cannot be built: {error}; it needs gcc, make, and the headers of "
            "libatomic-ops, xxhash, libnuma, yajl and zlib"
        ) from error
    return [ROOT / path for path in files]


def licences() -> dict[str, Path]:
    """Of what the programs have in them, where Debian keeps those; they go with every copy."""
    packages = ("libatomic-ops-dev", "libxxhash-dev", "libnuma-dev", "libyajl-dev", "zlib1g-dev")
    files = {name: Path("/usr/share/doc", name, "copyright") for name in packages}
    return {f"LICENSE.{name}": file for name, file in files.items() if file.exists()}


class BuildPy(build_py):
    def run(self) -> None:
        super().run()
        files = make()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "duralog", "_native")
        target.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copy2(path, target)
            subprocess.run(["strip", "-g", target / path.name], check=True)  # beside every gcc
        for name, path in licences().items():
            shutil.copy(path, target / name)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        packed = Path(self.build_lib, "duralog", "_native")
        names = [] if self.editable_mode else [*NATIVE, *licences()]
        native = [str(packed / name) for name in names]
        return [*super().get_outputs(include_bytecode), *native]


class BdistWheel(bdist_wheel):
    def finalize_options(self) -> None:
        self.distribution.has_ext_modules = lambda: True  # what it packs belongs to a platform
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class Sdist(sdist):
    def make_distribution(self) -> None:
        self.filelist.append("pyduralog/build_native.py")
        for pattern in SOURCES:
            found = sorted(ROOT.glob(pattern))
            self.filelist.extend(str(path.relative_to(ROOT)) for path in found)
        super().make_distribution()
