"""Errors that `gimlet` shows as they are."""


class Refusal(Exception):
    """Something that is wrong with a stage, in one line, and what to do about it."""

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.message, self.hint = message, hint


class NotFinite(Refusal):
    """A number that is not finite."""
