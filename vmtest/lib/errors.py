# SPDX-License-Identifier: Apache-2.0
"""What the harness says, and how it fails."""

import sys


class Failure(Exception):
    """The harness cannot do what it is asked for; the text is one line that says what to do."""


def say(text):
    print(f"vmtest: {text}", file=sys.stderr, flush=True)
