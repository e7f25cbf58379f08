"""Lock of a data folder: one `polyrelay dev` uses it at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.start_errors import DataFolderInUse


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """
    Hold the lock of the folder. The operating system releases it when this process ends, also after a crash.

    Raises:
        DataFolderInUse: Another process holds the lock; names its process id. Nothing was changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderInUse(
                f"{folder} is in use by another `polyrelay dev` (process {_holder(folder)}); "
                "stop it first, or choose another folder with --data-dir"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(folder: Path) -> str:
    return (folder / "lock").read_text("ascii").strip() or "unknown"
