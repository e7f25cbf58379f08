"""Log tail: new lines from the log files of a stack, each with the name of its process."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cli.embedded.processes import Process

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_READ: Final = 1024 * 1024


class LogTail:
    """
    Reads whole lines that processes have printed since the last call of `lines`.

    Args:
        processes: The processes whose log files are read. The present content of the files is skipped.
        colours: Keep the colour codes in the lines.
    """

    def __init__(self, processes: Iterable[Process], *, colours: bool) -> None:
        self._files = [_File(process.name, process.log_file) for process in processes]
        self._colours = colours

    @property
    def names(self) -> list[str]:
        """Names of the processes."""
        return [file.name for file in self._files]

    def lines(self) -> Iterator[tuple[str, str]]:
        """The name of the process and the text, for each new line."""
        for file in self._files:
            for line in file.new_lines():
                yield file.name, line if self._colours else _COLOURS.sub("", line)


class _File:
    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(self._at)
            read = log.read(_LONGEST_READ)
        self._at += len(read)
        *whole, self._rest = (self._rest + read).split(b"\n")
        return [line.decode(errors="replace").rstrip("\r") for line in whole]
