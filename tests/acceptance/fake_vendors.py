"""Runs the vendor servers of plugin projects as processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_vendor(script: Path) -> Iterator[dict[str, str]]:
    """Run a project's `fake_….py`; yields the settings that it prints: a URL and a key."""
    with subprocess.Popen(
        (sys.executable, "-u", str(script)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield dict(pair.split("=", 1) for pair in process.stdout.readline().split())
        finally:
            process.kill()
