"""One owner of a data folder at a time, who can be named."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.start_errors import DataFolderInUse


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """
    Own the folder; the lock goes with this process, however it ends.

    Raises:
        DataFolderInUse: Another process owns it; says which. Nothing was touched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderInUse(
                f"{folder} is in use by another `polyrelay dev` (process {_holder(folder)}); "
                "stop it first, or take another folder with --data-dir"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(folder: Path) -> str:
    return (folder / "lock").read_text("ascii").strip() or "unknown"
