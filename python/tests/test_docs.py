"""What the README, the guide and the notebook show is what happens."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

NOTEBOOK = Path(__file__).parents[1] / "examples" / "open_a_store.ipynb"


def python(text, folder):
    """Runs a script in a folder, and returns what it has printed."""
    ended = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def with_run(tmp_path, run_dir):
    """A folder with `runs/quickstart`."""
    (tmp_path / "runs").mkdir()
    os.symlink(run_dir, tmp_path / "runs" / "quickstart")
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "python/README.md", "docs/guide/python.md"])
def test_the_python_of_a_page(page, tmp_path, run_dir):
    blocks = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / page).read_text(), re.S | re.M)
    assert any("gimlet" in block for block in blocks)
    python("".join(blocks), with_run(tmp_path, run_dir))


def test_the_notebook(tmp_path):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 6
    # The value of a last line is what a notebook shows below the cell.
    script = "import ast\nnames = {}\n" + "".join(f"show({cell!r})\n" for cell in code)
    show = (
        "def show(cell):\n"
        "    tree = ast.parse(cell)\n"
        "    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None\n"
        "    exec(compile(tree, 'cell', 'exec'), names)\n"
        "    if last: print(repr(eval(compile(ast.Expression(last.value), 'cell', 'eval'), names)))\n"
    )
    printed = python(show + script, tmp_path)
    assert "2000 rows of" in printed and printed.rstrip().endswith("True")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", printed)]
    assert len(losses) == 3 and losses[2] < losses[0] < 1.4
    # A second time it goes on with what is there.
    assert "2000 rows of" in python(show + script, tmp_path)
