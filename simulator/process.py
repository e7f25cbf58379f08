"""A simulator in a process of its own, and a client for its control calls, for tests and benchmarks."""

import select
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import httpx
import msgspec

from simulator.control import LatencyChange, Stats
from simulator.faults import Fault, FaultRequest, FaultRule
from simulator.settings import Latencies

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class SimulatorProcess:
    """
    Runs a simulator inside a `with` block.

    Attributes:
        url: Its URL, without a slash at the end; set after the start.
    """

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """
        Start it and wait until it prints its URL.

        Raises:
            RuntimeError: It ended, or printed nothing within 30 s.
        """
        command = [sys.executable, "-m", "simulator", *self.arguments]
        root = Path(__file__).resolve().parent.parent
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)  # noqa: S603
        assert self._process.stdout is not None  # noqa: S101 - PIPE is set one line above
        readable, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        self.url = self._process.stdout.readline().strip() if readable else ""
        if not self.url:
            self.stop()
            raise RuntimeError("the simulator did not start")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, and SIGKILL if it still runs after 10 s; returns its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._process.returncode

    def __enter__(self) -> "SimulatorProcess":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ControlClient:
    """Client for the control calls of a running simulator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/_control", trust_env=False, timeout=10)

    def add_fault(self, kind: str, fault: Fault, *, prompt: str | None = None, times: int | None = 1) -> FaultRule:
        """Add a fault rule; with `times` None it applies to every call."""
        request = FaultRequest(kind=kind, fault=fault, prompt=prompt, times=times)
        answer = self._http.post("/faults", content=msgspec.json.encode(request)).raise_for_status()
        return msgspec.json.decode(answer.content, type=FaultRule)

    def faults(self) -> list[FaultRule]:
        """All fault rules, with the number of calls to which each was applied."""
        answer = self._http.get("/faults").raise_for_status()
        return msgspec.json.decode(answer.content, type=list[FaultRule])

    def clear_faults(self) -> None:
        """Delete all fault rules."""
        self._http.delete("/faults").raise_for_status()

    def change_latency(self, change: LatencyChange) -> Latencies:
        """Change latencies and return the current ones."""
        answer = self._http.post("/latency", content=msgspec.json.encode(change)).raise_for_status()
        return msgspec.json.decode(answer.content, type=Latencies)

    def stats(self) -> Stats:
        """The counts since the start or the last reset."""
        answer = self._http.get("/stats").raise_for_status()
        return msgspec.json.decode(answer.content, type=Stats)

    def reset(self) -> None:
        """Restore the state of the start."""
        self._http.post("/reset").raise_for_status()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
