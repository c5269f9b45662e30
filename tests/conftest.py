# SPDX-License-Identifier: MIT
"""What all Python tests share: a process that can be interrupted.

A shell that starts something in the background has it ignore SIGINT, and what is ignored stays so
in every program that is started from there: tests of SIGINT would wait for ever.

Knows pytest alone.
"""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
