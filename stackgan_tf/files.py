"""Files that are whole or as they were before."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replaces a text file at once: a process killed meanwhile leaves the old one."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
