# SPDX-License-Identifier: MIT
"""Under a seccomp filter, as containers have it: a call that is refused is an error that says so,
and one that can be done without is done without. Nothing hangs, nobody crashes.

The filter is real, put in by libseccomp, and inherited by the flusher. What the interpreter itself
cannot do without (openat, mmap, futex) cannot be tried.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from children import OPEN, fails, works

FORBID = """
import ctypes, errno

KILL = 0x80000000  # SCMP_ACT_KILL_PROCESS
ALLOW = 0x7FFF0000  # SCMP_ACT_ALLOW

def refuse(number):
    return 0x00050000 | number  # SCMP_ACT_ERRNO

def forbid(action, name):
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    assert seccomp.seccomp_rule_add_array(rules, action, number, 0, None) == 0, name
    assert seccomp.seccomp_load(rules) == 0

"""

try:
    import ctypes

    ctypes.CDLL("libseccomp.so.2")
except OSError:
    pytest.skip("libseccomp is not here", allow_module_level=True)


def forbidding(action: str, call: str) -> str:
    return f"{FORBID}\nforbid({action}, {call!r})\n{OPEN}"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("pwritev2", "DuraLogPermissionError EPERM"),
        ("fallocate", "DuraLogPermissionError EPERM"),
        ("fcntl", "DuraLogPermissionError EPERM"),
        ("madvise", "DuraLogPermissionError EPERM"),
        ("pipe2", "DuraLogPermissionError EPERM"),
        ("fdatasync", "DuraLogPermissionError EPERM"),
        ("fsync", "DuraLogPermissionError EPERM"),
        ("getrandom", "DuraLogPermissionError EPERM"),
        ("fchmod", "DuraLogSharedMemoryError EPERM"),
        ("clone", "DuraLogFlusherError ENOEXEC"),
        ("execve", "DuraLogFlusherError ENOEXEC"),
    ],
)
def test_a_call_that_is_refused_is_told(path: Path, call: str, kind: str) -> None:
    script = forbidding("refuse(errno.EPERM)", call)
    sentence = fails(path, kind, "Operation not permitted", script=script)
    assert kind.endswith("ENOEXEC") or "seccomp" in sentence


@pytest.mark.parametrize("number", ["errno.EPERM", "errno.ENOSYS"])
@pytest.mark.parametrize(
    "call",
    ["close_range", "setsid", "utimensat", "inotify_init1", "poll", "ppoll", "prctl", "pidfd_open"],
)
def test_a_call_that_can_be_done_without(path: Path, call: str, number: str) -> None:
    works(path, forbidding(f"refuse({number})", call))


def test_a_flusher_that_a_filter_kills_is_not_taken_for_one_that_serves(path: Path) -> None:
    """The flusher alone makes a session of its own."""
    fails(
        path,
        "DuraLogFlusherError ENOEXEC",
        "ended before it served",
        "a seccomp filter",
        script=forbidding("KILL", "setsid"),
    )
