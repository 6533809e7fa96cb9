"""What can go wrong: a class for each thing that the caller can do about it."""

from __future__ import annotations


class Error(Exception):
    """Any error of gimlet: `message` says what and where, `hint` what to do next, or is `None`."""

    message: str
    hint: str | None

    def __init__(self, message: str = "", hint: str | None = None) -> None:
        # Both are arguments, so that the error is the same after pickling.
        super().__init__(message, hint)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class Damaged(Error):
    """What was committed does not read back as it was written, or what is written again is not the same."""


class Missing(Error):
    """What is to be read is not there: not made yet, or removed."""


class Usage(Error, ValueError):
    """An argument is wrong."""


class Interrupted(Error):
    """The work was asked to stop, and goes on when it is begun again."""
