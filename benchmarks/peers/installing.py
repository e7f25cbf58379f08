"""Environments of the peers: created once under `benchmarks/.peers`, and named after their packages."""

import asyncio
import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

PEERS: Final = Path(__file__).resolve().parents[1] / ".peers"

Say: TypeAlias = Callable[[str], None]
"""Gets progress messages."""

_LONGEST_S: Final = 900.0
_DONE: Final = "installed"


class NotInstalled(Exception):
    """A peer cannot be installed here; the text says why."""


class Packages(Struct, frozen=True, kw_only=True):
    """
    The packages of an environment.

    Attributes:
        pip: Requirements for a virtual environment of this Python.
        npm: Packages for a folder of node_modules.
    """

    pip: Sequence[str] = ()
    npm: Sequence[str] = ()


async def installed(name: str, packages: Packages, *, say: Say, root: Path = PEERS) -> Path:
    """
    The folder of that environment, created if necessary.

    Raises:
        NotInstalled: An installer failed or is missing.
    """
    wanted = repr((tuple(packages.pip), tuple(packages.npm), sys.version_info[:2]))
    folder = root / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    if (folder / _DONE).is_file():
        return folder
    say(f"installing {' '.join([*packages.pip, *packages.npm])}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if packages.pip:
        await _run(folder, sys.executable, "-m", "venv", str(folder))
        await _run(folder, str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *packages.pip)
    if packages.npm:
        await _run(folder, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *packages.npm)
    (folder / _DONE).write_text(wanted)
    return folder


async def _run(folder: Path, *command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise NotInstalled(f"there is no {command[0]} on PATH") from None
    try:
        async with asyncio.timeout(_LONGEST_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise NotInstalled(f"{_words(command)} took longer than {_LONGEST_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise NotInstalled(f"{_words(command)} failed: {reason_in(output.decode(errors='replace'))}")


def _words(command: Sequence[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:4]])


def reason_in(output: str) -> str:
    """The last printed line that names an error, without anything about this machine."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
    return " ".join(word for word in errors[-1].split() if "/" not in word)
