# SPDX-License-Identifier: MIT
"""The parts of the benchmark: what is asked, how often, and which floor or peer an answer is held
against.

Each part is a function from the test bed and a scale to a Part. Rounds are the outer loop and the
things to be compared the inner one, so that they take turns (A B A B ...) and whatever else the
machine does meets them alike.

Knows bed.py, rows.py and, in the modules here, the programs' arguments. Changes when a question is
added.
"""
