"""Modules of a pipeline that are written in PyTorch.

`Stage` is what they inherit from, `InfoNCE` the loss of gimlet's own modules. `python -m gimlet.stage` is the process
that `gimlet run` starts: it holds one module and answers requests on its stdin. torch is imported with the first name
that needs it, so that a Python without torch can say so.
"""

from .version import PROTOCOL, VERSION

__all__ = ["PROTOCOL", "VERSION", "Batch", "InfoNCE", "Shape", "Stage"]

_HOMES = {"Batch": "stage", "Shape": "stage", "Stage": "stage", "InfoNCE": "infonce"}


def __getattr__(name):
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
