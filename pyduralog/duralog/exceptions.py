# SPDX-License-Identifier: MIT
"""The exceptions under the name that the earlier library gave their module. Knows _errors."""

from ._errors import (
    DuraLogConfigurationError,
    DuraLogCorruptionError,
    DuraLogError,
    DuraLogIOError,
)

__all__ = [
    "DuraLogConfigurationError",
    "DuraLogCorruptionError",
    "DuraLogError",
    "DuraLogIOError",
]
