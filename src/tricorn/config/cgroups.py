"""Finding the control groups of this process, of versions 1 and 2. What they bound is read in `machine`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def groups(root: Path, resource: str) -> Iterator[Path]:
    """The directories of this process's control groups that may bound `resource` (cpu, memory), each with all above it.

    `root` is where proc and sys are mounted.
    """
    memberships: dict[str, str] = {}  # "" is cgroup v2, `resource` the controller of v1
    for line in lines(root / "proc/self/cgroup"):
        _, colon, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if colon and (not controllers or resource in controllers.split(",")):
            memberships[resource if controllers else ""] = path
    for line in lines(root / "proc/self/mountinfo"):
        mount, _, filesystem = line.partition(" - ")
        fields, words = mount.split(" "), filesystem.split(" ")
        if len(fields) < 5:
            continue
        if words[0] == "cgroup2":
            controller = ""
        elif words[0] == "cgroup" and resource in words[-1].split(","):
            controller = resource
        else:
            continue
        if controller not in memberships:
            continue
        path = memberships[controller]
        top = root / fields[4].lstrip("/")
        # In a container the membership may be told as the host sees it, while only its own subtree is mounted.
        inner = path.removeprefix(fields[3]) if fields[3] != "/" else path
        group = top / inner.lstrip("/")
        if ".." in group.parts or not group.is_dir():
            group = top
        yield group
        while group != top:
            group = group.parent
            yield group


def lines(path: Path) -> list[str]:
    """The lines of a small file, none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
