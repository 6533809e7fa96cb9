"""gimlet from Python."""

from .stage.version import VERSION as __version__

__all__ = ["Stage", "__version__"]


def __getattr__(name):
    if name == "Stage":
        from .stage import Stage

        return Stage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
