"""Systems in turns, and what is made of what their jobs wrote down."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.__main__ import measured
from benchmarks.bench import Bench
from benchmarks.drain import rate_of
from benchmarks.peers.gateways import GATEWAYS
from benchmarks.peers.installing import NotInstalled, Packages, installed, reason_in
from benchmarks.peers.queues import QUEUES, commands_of
from benchmarks.queue_runs import Begun
from benchmarks.series import Figure
from benchmarks.table import rows_of
from benchmarks.turns import Contestant, Failed, in_turns
from cli.embedded.start_errors import ServerNotStarted


async def test_every_system_is_measured_once_in_each_round(tmp_path: Path) -> None:
    """What disturbs the machine for a while disturbs all of them."""
    asked: list[str] = []

    async def measure(name: str) -> Mapping[str, float]:
        asked.append(name)
        return {"rate": float(len(asked))}

    one, other = await in_turns(
        Bench(folder=tmp_path, rounds=2),
        [Contestant(name="a"), Contestant(name="b", setting="fast")],
        measure,
        case="c",
        units={"rate": "x/s"},
        about="",
    )

    assert asked == ["a", "b", "a", "b"]
    assert (one.system, one.rounds, other.rounds, other.setting) == ("a", (1.0, 3.0), (2.0, 4.0), "fast")


async def test_a_system_that_fails_is_reported_with_the_reason_and_asked_no_more(tmp_path: Path) -> None:
    """So is one that was missing from the beginning; the others go on."""
    asked: list[str] = []

    async def measure(name: str) -> Mapping[str, float]:
        asked.append(name)
        if name == "broken":
            raise Failed("it ended")
        return {"rate": 1.0}

    contestants = [Contestant(name="broken"), Contestant(name="gone", missing="no network"), Contestant(name="good")]
    found = await in_turns(
        Bench(folder=tmp_path, rounds=2), contestants, measure, case="c", units={"rate": "x/s"}, about=""
    )

    assert asked == ["broken", "good", "good"]
    assert [(each.system, each.missing, len(each.rounds)) for each in found] == [
        ("broken", "it ended", 0),
        ("gone", "no network", 0),
        ("good", None, 2),
    ]


async def test_a_figure_that_breaks_is_reported_with_the_reason_and_costs_no_other(tmp_path: Path) -> None:
    """It is in the report, and it is seen to be broken."""
    messages: list[str] = []

    async def measure(bench: Bench) -> Figure:
        raise ServerNotStarted("worker-1 ended while it started")

    figure = await measured("waiting", measure, Bench(folder=tmp_path, say=messages.append))

    assert (figure.name, figure.broken) == ("waiting", True)
    assert rows_of(figure) == [["", "polyrelay", "", "", "missing: worker-1 ended while it started"]]
    assert messages == ["waiting failed: worker-1 ended while it started"]


def begun(*at_ms: float, pid: int) -> list[Begun]:
    """Jobs that began in that process at those moments."""
    return [Begun(at_ns=round(each * 1e6), sent_ns=0, pid=pid) for each in at_ms]


def test_a_rate_counts_from_when_all_workers_are_at_work_until_the_time_is_over() -> None:
    """What one did alone, before the other came, does not count; nor what came after."""
    jobs = [*begun(0, 10, 20, 1000, 1100, 1200, 9999, pid=1), *begun(1000, 1500, 2000, pid=2)]

    assert rate_of(jobs, workers=2, seconds=1.0) == 5.0  # 1000, 1100, 1200, 1500, 2000 after the first of them


@pytest.mark.parametrize("jobs", [begun(1, 2, 3, pid=1), [*begun(1, 2, pid=1), *begun(3, pid=2)]])
def test_a_rate_of_fewer_workers_than_wanted_is_no_rate(jobs: list[Begun]) -> None:
    """One that got no job, or that came when nothing was left, makes the round a failure."""
    with pytest.raises(Failed):
        rate_of(jobs, workers=2, seconds=1.0)


async def test_an_installer_that_is_not_there_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm, packages of Node cannot be installed; nothing is left that looks installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    packages = Packages(npm=("bullmq@1",))

    for _ in range(2):
        with pytest.raises(NotInstalled, match="there is no npm on PATH"):
            await installed("bullmq", packages, say=print, root=tmp_path)


async def test_an_installer_that_fails_reports_its_last_error(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(NotInstalled, match=r"^python -m pip install failed: .*requirement") as caught:
        await installed("bad", Packages(pip=("./no such thing",)), say=print, root=tmp_path)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "Traceback:\n  File x\nModuleNotFoundError: No module named 'x'\n",
            "ModuleNotFoundError: No module named 'x'",
        ),
        ("Error: cannot find /home/me/x.js\n  at y\n\nNode.js v20", "Error: cannot find"),
        ("one\ntwo\n", "two"),
        ("", "no output"),
    ],
)
def test_a_reason_is_one_line_without_paths_or_addresses(output: str, reason: str) -> None:
    """Reports are published; where this machine keeps things is nobody's business."""
    assert reason_in(output) == reason


def test_peers_are_pinned_and_describe_their_settings() -> None:
    """A run can be repeated, and a reader sees with what ours is compared."""
    names = [peer.name for peer in QUEUES]
    assert len(set(names)) == len(names)
    assert all(peer.setting and peer.recovers for peer in QUEUES)
    for packages in (each.packages for each in (*QUEUES, *GATEWAYS) if each.packages is not None):
        for first in (*packages.pip[:1], *packages.npm[:1]):
            assert re.search(r"(==|.@)\d", first), first


async def test_our_own_queue_needs_no_installing(tmp_path: Path) -> None:
    """It runs with this Python, from the checkout."""
    commands = await commands_of(QUEUES[0], say=print, root=tmp_path)

    assert list(commands.worker[1:]) == ["-m", "benchmarks.peers.programs.own_jobs", "worker"]
    assert (commands.cwd / "benchmarks").is_dir()
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240
