# SPDX-License-Identifier: MIT
"""Each failure that a user can meet, made for real: its type, and that its message says what to do.

The environments are made with mount namespaces (root), limits, a second user, and copies of the
programs that were tampered with. Knows the public package, and the offsets of an ELF file and of a
log's meta (src/format/format.h) that it changes.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from children import OPEN, fails, in_namespace, needs_root, works
from conftest import BUILD, rings_of, stop
from duralog import (
    DuraLog,
    DuraLogDeviceError,
    DuraLogError,
    DuraLogStoppedError,
    DuraLogTimeoutError,
    DuraLogVersionError,
)

NOBODY = 65534


def script_before(setup: str) -> str:
    """OPEN, with something done before the log is opened."""
    return OPEN.replace("\ntry:\n", f"\n{setup}\ntry:\n", 1)


# ---- The flusher ---------------------------------------------------------------------------------


@pytest.fixture
def copied(place: Path) -> Path:
    """The library and the flusher beside it, to be tampered with."""
    directory = place / "copied"
    directory.mkdir()
    for name in ("libshmwal.so", "duralog-flusher"):
        shutil.copy2(BUILD / name, directory)
    return directory


def library_in(copied: Path) -> dict[str, str]:
    return {"DURALOG_LIBRARY": str(copied / "libshmwal.so")}


def patch(file: Path, offset: int, new: bytes) -> None:
    with open(file, "r+b") as opened:
        opened.seek(offset)
        opened.write(new)


def test_a_copied_library_starts_the_flusher_beside_it(path: Path, copied: Path) -> None:
    works(path, **library_in(copied))
    assert str(copied) not in (path / "flusher.log").read_text()
    stop(path)


def test_a_library_loaded_by_a_relative_name_finds_its_flusher_from_anywhere(
    path: Path, copied: Path
) -> None:
    setup = "import os; from duralog import _native; _native.library(); os.chdir('/')"
    works(
        path,
        script_before(setup),
        wrapper=("env", f"--chdir={copied}", "PATH=/usr/bin:/bin"),
        DURALOG_LIBRARY="./libshmwal.so",
    )


def test_a_missing_flusher(path: Path, copied: Path) -> None:
    (copied / "duralog-flusher").unlink()
    wrapper = ("env", "PATH=/usr/bin:/bin")
    if shutil.which("duralog-flusher", path="/usr/local/bin:/usr/bin:/bin"):
        pytest.skip("a flusher is installed on this machine")
    fails(
        path,
        "DuraLogFlusherError ENOEXEC",
        "was found neither beside the library nor",
        "DURALOG_FLUSHER",
        wrapper=wrapper,
        **library_in(copied),
    )


def test_a_flusher_named_wrongly(path: Path) -> None:
    fails(
        path,
        "DuraLogFlusherError ENOEXEC",
        "DURALOG_FLUSHER names /nowhere/flusher cannot be executed",
        DURALOG_FLUSHER="/nowhere/flusher",
    )


def test_a_flusher_without_its_mode(path: Path, copied: Path) -> None:
    (copied / "duralog-flusher").chmod(0o644)
    sentence = fails(path, "DuraLogFlusherError ENOEXEC", "mode 755", **library_in(copied))
    assert str(copied / "duralog-flusher") in sentence


@needs_root
def test_a_flusher_on_a_file_system_without_exec(path: Path, copied: Path) -> None:
    wrapper = in_namespace(
        f"mount --bind {copied} {copied}",
        f"mount -o remount,bind,noexec {copied}",
    )
    # The library is then mapped from elsewhere: noexec forbids that, too.
    fails(
        path,
        "DuraLogFlusherError ENOEXEC",
        "noexec",
        wrapper=wrapper,
        DURALOG_FLUSHER=str(copied / "duralog-flusher"),
    )


def test_a_flusher_for_another_machine(path: Path, copied: Path) -> None:
    patch(copied / "duralog-flusher", 18, b"\xf3\x00")  # e_machine: RISC-V
    fails(path, "DuraLogFlusherError ENOEXEC", "no program for this machine", **library_in(copied))


def test_a_flusher_for_another_c_library(path: Path, copied: Path) -> None:
    flusher = copied / "duralog-flusher"
    content = flusher.read_bytes()
    [loader] = re.findall(rb"/lib[^\0]*/ld-[^\0]*", content)[:1]
    patch(flusher, content.index(loader), loader[:-1] + b"?")
    fails(path, "DuraLogFlusherError ENOEXEC", "built for another C library", **library_in(copied))


@pytest.mark.parametrize("death", ["kill -SEGV $$", "exit 0", "echo nonsense", "exit 3"])
def test_a_flusher_that_ends_at_once(path: Path, copied: Path, death: str) -> None:
    """Whatever killed it: an answer that never comes must not be taken for a good one."""
    (copied / "duralog-flusher").write_text(f"#!/bin/sh\n{death}\n")
    sentence = fails(
        path, "DuraLogFlusherError ENOEXEC", "ended before it served", **library_in(copied)
    )
    assert f"{copied}/duralog-flusher {path}" in sentence


def test_a_process_may_go_on_where_the_flusher_died_at_once(path: Path, copied: Path) -> None:
    """The failed open leaves nothing behind that would hold up the next one."""
    (copied / "duralog-flusher").write_text("#!/bin/sh\nkill -SEGV $$\n")
    fails(path, "DuraLogFlusherError ENOEXEC", **library_in(copied))
    works(path)


# ---- Shared memory -------------------------------------------------------------------------------


def dev_shm(options: str, after: str = ":") -> tuple[object, ...]:
    return in_namespace(f"mount -t tmpfs -o {options} tmpfs /dev/shm", after=after)


@needs_root
def test_the_default_ring_fits_into_a_container_s_dev_shm(path: Path) -> None:
    works(path, wrapper=dev_shm("size=64m", after=f"{BUILD}/duralog stop {path} >/dev/null"))


@needs_root
def test_dev_shm_is_too_small(path: Path) -> None:
    fails(
        path,
        "DuraLogSharedMemoryError ENOSPC",
        "/dev/shm has no room for",
        "--shm-size",
        "smaller ring",
        wrapper=dev_shm("size=8m"),
    )


@needs_root
def test_dev_shm_is_read_only(path: Path) -> None:
    fails(
        path,
        "DuraLogSharedMemoryError EROFS",
        "/dev/shm must be a tmpfs that this user may write to",
        wrapper=dev_shm("ro"),
    )


@needs_root
def test_dev_shm_is_missing(path: Path) -> None:
    wrapper = in_namespace("mount -t tmpfs tmpfs /dev", "mknod /dev/null c 1 3")
    fails(
        path,
        "DuraLogSharedMemoryError ENOSYS",
        "/dev/shm is missing",
        "mount a tmpfs",
        wrapper=wrapper,
    )


@needs_root
def test_dev_shm_may_not_be_written_by_this_user(path: Path, place: Path) -> None:
    place.chmod(0o777)
    fails(
        path,
        "DuraLogSharedMemoryError EACCES",
        "this user may write to",
        wrapper=dev_shm("mode=755"),
        script=script_before(f"import os; os.setgid({NOBODY}); os.setuid({NOBODY})"),
    )
    shutil.rmtree(path)


# ---- Files ---------------------------------------------------------------------------------------


@needs_root
def test_a_log_of_another_user(path: Path, place: Path) -> None:
    place.chmod(0o755)
    DuraLog(path).close()
    path.chmod(0o755)
    fails(
        path,
        "DuraLogPermissionError EACCES",
        f"belongs to user 0, and this process runs as user {NOBODY}",
        "run as that user, or use another path",
        script=script_before(f"import os; os.setgid({NOBODY}); os.setuid({NOBODY})"),
    )


@needs_root
@pytest.mark.parametrize("there", [False, True], ids=["no log yet", "a log"])
def test_a_read_only_file_system(path: Path, place: Path, there: bool) -> None:
    disk = place / "disk"
    disk.mkdir()
    make = f"{BUILD}/duralog create {disk}/app.log >/dev/null" if there else "true"
    fails(
        disk / "app.log",
        "DuraLogReadOnlyError EROFS",
        "lies on a read-only file system" if there else "Read-only file system",
        wrapper=in_namespace(f"mount -t tmpfs tmpfs {disk}", make, f"mount -o remount,ro {disk}"),
    )


@needs_root
def test_a_disk_too_small_for_a_log(path: Path, place: Path) -> None:
    disk = place / "disk"
    disk.mkdir()
    fails(
        disk / "app.log",
        "DuraLogNoSpaceError ENOSPC",
        "No space left",
        wrapper=in_namespace(f"mount -t tmpfs -o size=1m tmpfs {disk}"),
    )


def test_a_limit_on_the_size_of_files(path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
    fails(path, "DuraLogNoSpaceError EFBIG", "File too large", script=script_before(limit))


def test_a_file_of_something_else(path: Path) -> None:
    path.write_text("2026-01-01 a line of text\n")
    fails(path, "DuraLogNotALogError ENOTDIR", "is a file; a log is a directory")


def test_a_log_of_a_newer_version(path: Path) -> None:
    DuraLog(path).close()
    stop(path)
    patch(path / "meta", 16, (2).to_bytes(4, "little"))
    with pytest.raises(DuraLogVersionError, match="use that version") as caught:
        DuraLog(path)
    assert caught.value.errno == errno.EPROTO
    patch(path / "meta", 16, (1).to_bytes(4, "little"))


# ---- Limits of the process -----------------------------------------------------------------------


def test_no_descriptor_is_left(path: Path) -> None:
    setup = """
import os, resource
duralog._native.library()
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
try:
    while True:
        os.dup(0)
except OSError:
    pass
"""
    fails(path, "DuraLogResourceError EMFILE", "Too many open files", script=script_before(setup))


def test_an_open_handle_needs_no_descriptor(path: Path) -> None:
    script = """
import os, resource, sys
from duralog import DuraLog
log = DuraLog(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
try:
    while True:
        os.dup(0)
except OSError:
    pass
log.append("record", level="durable", timeout=200)
print("works")
"""
    works(path, script)


def test_no_memory_is_left_to_map_the_ring(path: Path) -> None:
    setup = """
import resource
duralog._native.library()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), used + (16 << 20)))
"""
    fails(
        path,
        "DuraLogResourceError ENOMEM",
        "cannot be mapped",
        "ulimit -v",
        "smaller ring",
        script=script_before(setup),
    )
    assert rings_of(path) == []


# ---- Being held up -------------------------------------------------------------------------------


def fill(log: DuraLog) -> DuraLogError:
    while True:
        try:
            log.append(b"x" * 1000, timeout=0.05)
        except DuraLogTimeoutError as error:
            return error


def test_back_pressure_says_how_large_the_ring_is_and_that_nobody_serves(idle: DuraLog) -> None:
    told = str(fill(idle))
    assert "65536 bytes" in told
    assert "no flusher has been started yet" in told


def test_back_pressure_names_who_holds_it_up(path: Path) -> None:
    import ctypes

    library = ctypes.CDLL(os.environ["DURALOG_LIBRARY"])
    with DuraLog(path, ring_bytes=1 << 16) as log:
        slot = ctypes.create_string_buffer(256)
        assert library.shmwal_reserve(log._handle, ctypes.c_size_t(8), slot) == 0
        told = str(fill(log))
        assert f"process {os.getpid()} has a reservation open at LSN 0" in told
        assert library.shmwal_discard(log._handle, slot) == 0


def test_a_stopped_flusher_has_its_own_type(log: DuraLog) -> None:
    stop(Path(log.path))
    with pytest.raises(DuraLogStoppedError, match="open the log again") as caught:
        log.append("never")
    assert caught.value.errno == errno.ESHUTDOWN


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the device fail")
def test_a_device_that_fails_is_told_to_all_who_wait(path: Path, place: Path) -> None:
    """Once it serves, every sync and write fails."""
    script = place / "flusher"
    script.write_text(
        "#!/bin/sh\n"
        f"exec strace -qq -o /dev/null -f -e trace=pwritev2,fdatasync "
        f'-e inject=pwritev2,fdatasync:error=EIO:when=60+ {BUILD}/duralog-flusher "$@"\n'
    )
    script.chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DURALOG_FLUSHER", str(script))
        log = DuraLog(path)

    def append_until_it_fails() -> None:
        while True:
            log.append("record", level="durable", timeout=200)

    with pytest.raises(DuraLogDeviceError, match="the durable LSN is frozen") as caught:
        append_until_it_fails()
    assert caught.value.errno == errno.EIO
    assert "flusher.log" in str(caught.value)
    with pytest.raises(DuraLogDeviceError):
        log.close()
    stop(path)
    subprocess.run([BUILD / "duralog", "verify", path], check=True, stdout=subprocess.DEVNULL)
