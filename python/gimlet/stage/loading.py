"""Loads the class of a stage from its file, and says which files of the pipeline's folder that has imported."""

import importlib.util
import os
import sys
import sysconfig

from .refusal import Refusal


def load(file, name, folder):
    """The class `name` of `file`. Modules beside the pipeline file, in `folder`, can be imported."""
    for place in (folder, os.path.dirname(file)):
        if place not in sys.path:
            sys.path.insert(0, place)
    # The folder of a pipeline stays as it is.
    sys.dont_write_bytecode = True
    stem = os.path.splitext(os.path.basename(file))[0]
    if not os.path.isfile(file):
        raise Refusal(f"there is no file `{file}`", "the path begins at the folder of the pipeline file")
    spec = importlib.util.spec_from_file_location(stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if found is None:
        raise Refusal(f"`{file}` has no `{name}`", "write the name of a class behind the colon: `stages.py:Block`")
    from .stage import Stage

    if not (isinstance(found, type) and issubclass(found, Stage)):
        raise Refusal(f"`{name}` in `{file}` is no `gimlet.Stage`", f"write `class {name}(gimlet.Stage):`")
    return found


def sources(folder):
    """The files that are loaded now and lie below `folder`, but in no Python installation, sorted."""
    folder = os.path.realpath(folder)
    installed = {os.path.realpath(it) for it in sysconfig.get_paths().values()}
    installed |= {os.path.realpath(it) for it in (sys.prefix, sys.base_prefix)}
    # A folder that holds the whole installation says nothing.
    installed = {it for it in installed if not is_below(folder, it)}
    own = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        file = os.path.realpath(file)
        # Some modules name a file that is not there: `torch.classes` says `_classes.py`.
        if os.path.isfile(file) and is_below(file, folder) and not any(is_below(file, it) for it in installed | {own}):
            found.add(file)
    return sorted(found)


def is_below(path, folder):
    """Whether `path` is `folder` or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
