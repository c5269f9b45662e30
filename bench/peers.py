# SPDX-License-Identifier: MIT
"""What peers and floors need, and how it comes here: Debian packages, and Aeron from Maven Central.

What cannot be had is said once, and the run goes on without it. Knows apt-get and mvn. Changes when
a peer is added.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from bed import ROOT, Failure, output_of

# By Debian package: what is there once it is installed, a command or a header.
PACKAGES = {
    "fio": "fio",
    "libisal-dev": "isa-l/crc.h",
    "librocksdb-dev": "rocksdb/c.h",
    "liblmdb-dev": "lmdb.h",
    "libsqlite3-dev": "sqlite3.h",
    "default-jre-headless": "java",
    "maven": "mvn",
}
DESCRIPTION = ROOT / "bench/peers/aeron.xml"  # which version of Aeron


def is_there(package: str) -> bool:
    sign = PACKAGES[package]
    if sign.endswith(".h"):
        return Path("/usr/include", sign).exists()
    return shutil.which(sign) is not None


def install(packages: Iterable[str]) -> None:
    """Those that are missing: all at once, and if that fails one by one."""
    missing = [package for package in packages if not is_there(package)]
    if not missing:
        return
    try:
        apt_get("update")
        apt_get("install", *missing)
    except Failure:
        for package in missing:
            try_to_install(package)


def try_to_install(package: str) -> None:
    try:
        apt_get("install", package)
    except Failure as failure:
        print(f"bench: {failure}\nbench: going on without {package}", file=sys.stderr)


def apt_get(what: str, *packages: str) -> None:
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") is None or (root and shutil.which("sudo") is None):
        raise Failure("only root or sudo with apt-get can install " + " ".join(packages))
    if packages:
        print(f"bench: installing {' '.join(packages)} with apt-get", file=sys.stderr)
    options = ("-qq", "-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends")
    output_of(
        [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, what, *packages]
    )


def aeron(build: Path) -> Path | None:
    """The directory that holds Aeron's jars, fetched once; None if they cannot be had."""
    jars = build / "bench" / "aeron"
    if list(jars.glob("aeron-samples-*.jar")):
        return jars
    if not all(is_there(package) for package in ("default-jre-headless", "maven")):
        return None
    fetch = ["mvn", "-q", "-B", "-f", str(DESCRIPTION), "dependency:copy-dependencies"]
    try:
        output_of([*fetch, f"-DoutputDirectory={jars}"])
    except (Failure, OSError) as failure:
        print(f"bench: {failure}\nbench: going on without Aeron", file=sys.stderr)
        return None
    return jars
