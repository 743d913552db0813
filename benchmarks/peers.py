"""The Python servers to compare with: their pinned versions, and the virtual environment that holds them.

A peer that cannot be installed (no compiler, a library missing) is reported and left out; it never ends the benchmark.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

INSTALL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A distribution on PyPI, and the module that must be importable once it is installed."""

    distribution: str
    version: str
    module: str | None
    """None: a program without a module."""
    hint: str = ""
    """What usually helps when it does not install."""


PEERS = {
    peer.distribution: peer
    for peer in (
        Peer("granian", "2.8.7", "granian"),
        Peer("freastal", "0.0.3", "freastal"),
        Peer("fastpysgi", "0.6", "fastpysgi"),
        Peer("bjoern", "3.2.2", "bjoern", "it is built with a C compiler and libev (Debian package libev-dev)"),
        Peer("uwsgi", "2.0.31", None, "it is built with a C compiler"),
        Peer("gunicorn", "27.0.1", "gunicorn"),
        Peer("waitress", "3.0.2", "waitress"),
        Peer("cheroot", "11.1.2", "cheroot"),
        Peer("django", "5.2.19", "django"),
    )
}


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment of this interpreter with peers in it."""

    directory: Path

    @property
    def python(self) -> str:
        """The interpreter inside."""
        return str(self.directory / "bin" / "python")

    def program(self, name: str) -> str:
        """The path of an installed command."""
        return str(self.directory / "bin" / name)

    @property
    def site_packages(self) -> str:
        """Where its distributions are."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}{'t' if 't' in sys.abiflags else ''}"
        return str(self.directory / "lib" / version / "site-packages")


def prepare(parent: Path, wanted: Iterable[str]) -> tuple[Environment, dict[str, str]]:
    """Install `wanted` distributions below `parent`; returns the environment and why others are missing.

    What is there in the pinned version already is not touched, and costs no network.
    """
    environment = Environment(parent / f"{sys.implementation.cache_tag}{sys.abiflags}")
    if not Path(environment.python).exists():
        print(f"making {environment.directory} for the other servers", flush=True)
        venv.create(environment.directory, with_pip=True, clear=True, symlinks=True)
    missing: dict[str, str] = {}
    for name in sorted(set(wanted)):
        problem = _install(environment, PEERS[name])
        if problem is not None:
            missing[name] = problem
    return environment, missing


def _install(environment: Environment, peer: Peer) -> str | None:
    """None when the peer is installed and loads; else a sentence."""
    if not _is_there(environment, peer):
        print(f"installing {peer.distribution} {peer.version}", flush=True)
        # Each by itself: one that does not build must not take the others along.
        pip = [environment.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        problem = _problem([*pip, f"{peer.distribution}=={peer.version}"])
        if problem is not None:
            return _sentence(f"{peer.distribution} {peer.version} cannot be installed: {problem}", peer)
    if peer.module is not None:
        problem = _problem([environment.python, "-c", f"import {peer.module}"])
        if problem is not None:
            return _sentence(f"{peer.distribution} {peer.version} is installed but does not load: {problem}", peer)
    return None


def _is_there(environment: Environment, peer: Peer) -> bool:
    code = "import importlib.metadata, sys; sys.exit(importlib.metadata.version(sys.argv[1]) != sys.argv[2])"
    return _problem([environment.python, "-c", code, peer.distribution, peer.version]) is None


def _problem(command: list[str]) -> str | None:
    """None when the command succeeds, else the last line it wrote."""
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {INSTALL_SECONDS:.0f} seconds"
    if result.returncode == 0:
        return None
    lines = result.stdout.strip().splitlines()
    return lines[-1].strip()[:200] if lines else f"exit code {result.returncode}"


def _sentence(problem: str, peer: Peer) -> str:
    return f"{problem} ({peer.hint})" if peer.hint else problem
