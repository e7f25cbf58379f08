"""The report of a run, as JSON; `table` prints it."""

import os
import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from benchmarks.series import Figure
from benchmarks.targets import Verdict


class Machine(Struct, frozen=True, kw_only=True):
    """
    The machine of the run.

    Attributes:
        load: Load average of the minute before the run: the load of other programs.
    """

    cores: int
    processor: str
    memory_gib: float
    system: str
    python: str
    load: float

    @classmethod
    def here(cls) -> Self:
        """This machine."""
        return cls(
            cores=os.cpu_count() or 1,
            processor=_processor(),
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            load=round(os.getloadavg()[0], 2),
        )

    @property
    def busy(self) -> bool:
        """Whether other programs used more than a quarter of the machine."""
        return self.load > self.cores / 4

    @property
    def words(self) -> str:
        """The machine in one line of text."""
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_gib:g} GiB, {self.system}, Python {self.python}, "
            f"load {self.load:g} before the run"
        )


class Report(Struct, frozen=True, kw_only=True):
    """
    One run.

    Attributes:
        quick: Whether less was measured: such numbers are not published.
        seconds: Duration of the run.
    """

    version: str
    started: datetime
    seconds: float
    rounds: int
    quick: bool
    machine: Machine
    verdicts: Sequence[Verdict]
    figures: Sequence[Figure]

    def json(self) -> str:
        """The report with medians, ranges and ratios beside the rounds."""
        values = msgspec.to_builtins(self)
        for figure, built in zip(self.figures, values["figures"], strict=True):
            for series, row in zip(figure.series, built["series"], strict=True):
                row["spread"] = msgspec.to_builtins(series.spread)
                row["ratio"] = msgspec.to_builtins(figure.ratio(series))
        return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n"


def own_version() -> str:
    """The version that is measured."""
    return version("polyrelay")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
