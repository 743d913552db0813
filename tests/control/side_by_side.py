"""Tests that only wait for a deadline of the server's, ten seconds or so: under each MPM at the same time.

Not for tests that measure, or that keep the machine busy.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MPMS = ("prefork", "worker", "event")


def under_each_mpm(body: Callable[[str, Path, Path], object], site: Path, programs: Iterable[Path] = ()) -> None:
    """Call `body(mpm, site, control)` for each, in threads; each has a copy of the site, and a place for its socket."""
    for program in programs:
        shutil.copy(program, site)

    def run(mpm: str) -> BaseException | None:
        mine = site.parent / mpm
        shutil.copytree(site, mine)
        with tempfile.TemporaryDirectory(prefix="tricorn-control-") as directory:
            try:
                body(mpm, mine, Path(directory, "socket"))
            except BaseException as error:
                error.add_note(f"under {mpm}")
                return error
        return None

    with ThreadPoolExecutor(len(MPMS)) as threads:
        problems = [problem for problem in threads.map(run, MPMS) if problem is not None]
    if problems:
        raise BaseExceptionGroup("under some MPMs", problems)
