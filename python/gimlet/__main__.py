"""`python -m gimlet` is the command `gimlet`."""

from ._command import main

main()
