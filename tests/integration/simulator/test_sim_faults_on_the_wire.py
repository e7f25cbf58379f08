"""Each fault of the transport, as a plain HTTP client sees it, and the process itself."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.control import LatencyChange
from simulator.faults import BrokenGzip, CutAfter, CutBefore, FailGeneration, Garbage, Hang, Huge, NeverEnds, Truncated
from simulator.process import ControlClient, SimulatorProcess

ROOT = Path(__file__).parents[3]
BODY = {"model": "dall-e-3", "prompt": "cat"}


def draw(url: str, timeout_s: float = 10.0) -> httpx.Response:
    """One call that answers with its result."""
    headers = {"Authorization": "Bearer sk-simulator"}
    return httpx.post(f"{url}/v1/images/generations", json=BODY, headers=headers, timeout=timeout_s, trust_env=False)


def until_idle(control: ControlClient) -> None:
    """Wait until no call is being answered."""
    for _ in range(2000):
        if control.stats().in_flight == 0:
            return
    raise AssertionError("a call is still being answered")


@pytest.mark.parametrize(("fault", "accepted"), [(CutBefore(), 0), (CutAfter(), 1)])
def test_a_cut_connection_gives_no_answer(sim_url: str, control: ControlClient, fault: Any, accepted: int) -> None:
    """The client sees the server disconnect either way; only the counts tell the cases apart."""
    control.add_fault("openai.images", fault)
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
        draw(sim_url)
    count = control.stats().prompts["cat"]
    assert (count.received, count.accepted) == (1, accepted)
    assert draw(sim_url).status_code == 200


def test_a_truncated_answer_breaks_in_the_middle(sim_url: str, control: ControlClient) -> None:
    """The connection ends before the announced length."""
    control.add_fault("openai.images", Truncated())
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        draw(sim_url)


def test_a_cleanly_truncated_answer_does_not_decode(sim_url: str, control: ControlClient) -> None:
    """200, complete for HTTP, half a JSON document."""
    control.add_fault("openai.images", Truncated(clean=True))
    answer = draw(sim_url)
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_truncated_stream_breaks_between_events(sim_url: str, control: ControlClient) -> None:
    """Two events arrive, then the connection is gone."""
    control.add_fault("ark.chat", Truncated())
    headers = {"Authorization": "Bearer ark-simulator"}
    body = {"model": "doubao-pro-4k", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    received: list[str] = []
    with (
        httpx.stream(
            "POST", f"{sim_url}/api/v3/chat/completions", json=body, headers=headers, trust_env=False
        ) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        received.extend(line for line in answer.iter_lines() if line)
    assert len(received) == 2


def test_garbage_is_not_json(sim_url: str, control: ControlClient) -> None:
    """200 with a body that no decoder takes."""
    control.add_fault("openai.images", Garbage())
    answer = draw(sim_url)
    assert answer.status_code == 200
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        answer.json()


def test_a_broken_gzip_does_not_decompress(sim_url: str, control: ControlClient) -> None:
    """200, complete for HTTP, and a decoder gives up in the middle."""
    control.add_fault("openai.images", BrokenGzip())
    with pytest.raises(httpx.DecodingError):
        draw(sim_url)
    assert control.stats().accepted == {"openai.images": 1}


def test_a_huge_answer_has_the_asked_size(sim_url: str, control: ControlClient) -> None:
    """It comes without a length, so a client must count while it reads."""
    control.add_fault("openai.images", Huge(size_bytes=3_000_001))
    answer = draw(sim_url)
    assert len(answer.content) == 3_000_001
    assert "content-length" not in answer.headers


def test_a_client_that_leaves_a_huge_answer_ends_it(sim_url: str, control: ControlClient) -> None:
    """The simulator goes on serving."""
    control.add_fault("openai.images", Huge(size_bytes=1 << 40))
    headers = {"Authorization": "Bearer sk-simulator"}
    url = f"{sim_url}/v1/images/generations"
    with httpx.stream("POST", url, json=BODY, headers=headers, trust_env=False) as answer:
        next(answer.iter_bytes())
    assert draw(sim_url).status_code == 200


@pytest.mark.parametrize(
    ("fault", "accepted"), [(Hang(seconds=60), 1), (Hang(seconds=60, accepted=False), 0), (NeverEnds(), 1)]
)
def test_a_hang_ends_when_the_client_leaves(sim_url: str, control: ControlClient, fault: Any, accepted: int) -> None:
    """A read timeout on the client's side, nothing left running on the other."""
    control.add_fault("openai.images", fault)
    with pytest.raises(httpx.ReadTimeout):
        draw(sim_url, timeout_s=0.3)
    until_idle(control)
    assert control.stats().prompts["cat"].accepted == accepted


def test_a_short_hang_answers_late(sim_url: str, control: ControlClient) -> None:
    """After the time, the usual answer."""
    control.add_fault("openai.images", Hang(seconds=0.2))
    answer = draw(sim_url)
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.2


def test_a_generation_can_fail_in_its_answer(sim_url: str, control: ControlClient) -> None:
    """Calls that answer with their result fail with the vendor's error."""
    control.add_fault("openai.images", FailGeneration(code="moderation_blocked"))
    answer = draw(sim_url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "moderation_blocked")


def test_faults_are_listed_and_removed(sim_url: str, control: ControlClient) -> None:
    """A rule shows its hits; removing one leaves the others."""
    first = control.add_fault("openai.images", Garbage(), times=None)
    control.add_fault("ark.chat", Garbage(), prompt="猫", times=3)
    draw(sim_url)
    assert [(rule.kind, rule.left, rule.hits) for rule in control.faults()] == [
        ("openai.images", None, 1),
        ("ark.chat", 3, 0),
    ]
    assert httpx.delete(f"{sim_url}/_control/faults/{first.id}", trust_env=False).status_code == 204
    assert [rule.kind for rule in control.faults()] == ["ark.chat"]
    control.clear_faults()
    assert control.faults() == []


def test_an_unknown_fault_is_refused(sim_url: str, control: ControlClient) -> None:
    """A misspelt fault or field is 400, not a fault that never hits."""
    url = f"{sim_url}/_control/faults"
    assert httpx.post(url, json={"kind": "*", "fault": {"type": "melt"}}, trust_env=False).status_code == 400
    assert httpx.post(url, json={"knid": "*", "fault": {"type": "garbage"}}, trust_env=False).status_code == 400


def test_latencies_change_in_part_and_reset(control: ControlClient) -> None:
    """What is not named stays; overrides go by kind; a reset brings back the start's."""
    changed = control.change_latency(LatencyChange(video_s=9, overrides={"visual.process": 2.0}))
    assert (changed.image_s, changed.video_s, changed.of("visual.process", "image")) == (0.02, 9, 2.0)
    control.reset()
    assert control.change_latency(LatencyChange()).video_s == 0.1


def test_calls_in_flight_are_counted_at_their_peak(sim_url: str, control: ControlClient) -> None:
    """Three calls at once show as three."""
    control.change_latency(LatencyChange(image_s=0.3))
    threads = [threading.Thread(target=draw, args=(sim_url,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert control.stats().max_in_flight == 3


def test_calls_keep_their_params(sim_url: str, control: ControlClient) -> None:
    """A test can look at what was sent."""
    draw(sim_url)
    (call,) = control.stats().calls
    assert (call.kind, call.model, call.body, call.accepted) == ("openai.images", "dall-e-3", BODY, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_cleanly_even_with_a_client_waiting(number: signal.Signals) -> None:
    """A stop signal ends it with 0 while a call hangs."""
    process = SimulatorProcess("--latency-image", "0")
    process.start()
    client = ControlClient(process.url)
    client.add_fault("openai.images", NeverEnds())
    seen: list[httpx.HTTPError] = []

    def wait() -> None:
        try:
            draw(process.url)
        except httpx.HTTPError as error:
            seen.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while client.stats().in_flight == 0:
        pass
    client.close()
    assert process.stop(number) == 0
    waiting.join()
    assert len(seen) == 1


def test_other_keys_can_be_asked_for() -> None:
    """The accepted credentials are options of the command."""
    with SimulatorProcess("--openai-key", "sk-other") as process:
        assert draw(process.url).status_code == 401


def test_a_port_in_use_is_one_clear_line(sim_url: str) -> None:
    """The second process on a port ends with what, where and why."""
    port = sim_url.rpartition(":")[2]
    run = subprocess.run(
        [sys.executable, "-m", "simulator", "--port", port], timeout=30, capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"the simulator cannot listen on 127.0.0.1:{port}: Address already in use")
    assert run.stderr.count("\n") == 1
