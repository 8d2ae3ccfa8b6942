"""How this program is called, so that what the demo prints runs as printed, in another shell too."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote


def program(started: str = sys.argv[0], python: str = sys.executable) -> Path:
    """Where panelmux is: what was started, or, started as a module or by a test, what stands beside Python."""
    return Path(started).absolute() if Path(started).name == "panelmux" else Path(python).with_name("panelmux")


def again(options: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """What starts the demo once more from where it was started: make, or the shortest name that finds us."""
    if "MAKELEVEL" in environ and not options:
        return "make demo"
    ours = program()
    name = "panelmux" if shutil.which("panelmux", path=environ.get("PATH")) == str(ours) else quote(str(ours))
    return f"{name} demo{options}"
