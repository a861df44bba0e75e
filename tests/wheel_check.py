"""Run by ``nox -s wheel`` in an environment with the built wheel and its core dependencies only."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import inferencekey

assert "site-packages" in (inferencekey.__file__ or ""), inferencekey.__file__
loaded = {name.partition(".")[0] for name in sys.modules}
for heavy in ("aiohttp", "anyio", "attrs", "attr", "cattrs", "orjson", "asyncio", "rich", "typer"):
    assert heavy not in loaded, f"import inferencekey loads {heavy}"
for extra in ("typer", "rich", "xllamacpp", "gguf", "numpy", "psutil"):
    assert importlib.util.find_spec(extra) is None, f"{extra} is not a core dependency"

for name in inferencekey.__all__:
    assert getattr(inferencekey, name) is not None

shipped = {str(path) for path in files("inferencekey") or ()}
assert "inferencekey/py.typed" in shipped
assert not [path for path in shipped if "_codegen" in path or path.startswith("tests")], (
    "the wheel ships what it should not"
)

command = Path(sys.executable).with_name("inferencekey")
done = subprocess.run([command, "up"], capture_output=True, text=True, check=False)
assert done.returncode == 1, done
hint = re.fullmatch(
    r"error: the command line needs typer, which is not installed; "
    r"run: (?:uv )?pip install '(\S+\.whl)\[cli,local\]'\n",
    done.stderr,
)
assert hint is not None, done.stderr
assert Path(hint[1]).is_file(), "the hint names the wheel that was installed"
print("the wheel is as it should be")
