"""The command `gimlet`, as the wheel brings it."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command with the arguments of this process, and ends the process with its exit code."""
    from . import _native

    sys.exit(_native.main([sys.executable, "-m", "gimlet"], sys.argv[1:]))
