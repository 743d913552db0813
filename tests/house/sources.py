"""The files of the repository, as the house tests read them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("src", "rust", "tests", "benchmarks", "examples")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file under version control, or, in an unpacked archive, every file of the rooms."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        found = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix != ".so"]
    else:
        found = [ROOT / name.decode() for name in listing.split(b"\0") if name]
    return tuple(sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts))


def named(*suffixes: str, under: str = "") -> list[Path]:
    """Tracked files with one of `suffixes`, below the folder `under`."""
    return [path for path in tracked() if path.suffix in suffixes and path.is_relative_to(ROOT / under)]


def short(path: Path) -> str:
    """The path as a reader of a failure wants it."""
    return str(path.relative_to(ROOT))
