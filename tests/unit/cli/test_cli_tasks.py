"""The commands `polyrelay tasks`, against a fake API on loopback."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.embedded.ports import free_port
from cli.embedded.processes import own_environment
from tests.unit.cli.fake_api import FakeApi, Run

SUBMIT = ("tasks", "submit", "image", "--provider", "p", "--model", "m", "--user-id", "me")


def test_submit_prints_the_id_and_how_to_wait(api: FakeApi, run: Run) -> None:
    """Standard output is only the task id, for use in a shell; the hint goes to standard error."""
    result = run(*SUBMIT, "a fox", "--param", "size=1K", "--param", "seed=7", "--url", api.url)

    assert (result.exit_code, result.stdout) == (0, "task_1\n")
    assert "polyrelay tasks wait task_1" in result.stderr
    assert api.posted == [{"provider": "p", "model": "m", "user_id": "me", "prompt": "a fox", "size": "1K", "seed": 7}]


def test_submit_takes_fallbacks_a_priority_and_a_deadline(api: FakeApi, run: Run) -> None:
    """They are sent in the form of the API; a model's name may contain slashes."""
    options = ("--fallback", "q/n", "--fallback", "r/org/n-2", "--priority", "low", "--deadline", "90")

    run(*SUBMIT, "a fox", *options, "--url", api.url)

    (body,) = api.posted
    assert body["fallbacks"] == [{"provider": "q", "model": "n"}, {"provider": "r", "model": "org/n-2"}]
    assert (body["priority"], body["deadline_s"]) == ("low", 90)


@pytest.mark.parametrize("text", ["openai", "/m", "p/", ""])
def test_a_fallback_needs_a_provider_and_a_model(api: FakeApi, run: Run, text: str) -> None:
    """Anything else ends with exit code 2 before a task is created."""
    result = run(*SUBMIT, "a fox", "--fallback", text, "--url", api.url)

    assert result.exit_code == 2
    assert "provider/model" in result.stderr
    assert api.posted == []


def test_a_cancel_says_that_the_vendor_may_still_bill(api: FakeApi, run: Run) -> None:
    """The outcome is on standard output, the warning about costs on standard error."""
    result = run("tasks", "cancel", "task_1", "--url", api.url)

    assert (result.exit_code, result.stdout) == (0, "cancel requested task_1\n")
    assert "may still finish and bill it" in result.stderr
    assert api.asked == ["POST /api/v1/ai/task/task_1/cancel"]


def test_a_retry_warns_that_the_vendor_may_have_billed(api: FakeApi, run: Run) -> None:
    """The new status is on standard output, the warning on standard error."""
    result = run("tasks", "retry", "task_1", "--url", api.url)

    assert (result.exit_code, result.stdout) == (0, "pending task_1\n")
    assert "may have billed" in result.stderr
    assert api.asked == ["POST /api/v1/ai/task/task_1/retry"]


@pytest.mark.parametrize(
    ("cancelled", "vendor_stopped", "words"),
    [(False, False, ""), (True, False, "the vendor may bill"), (True, True, "confirmed that it stopped")],
)
def test_a_delete_of_an_open_task_warns_about_costs(
    api: FakeApi, run: Run, cancelled: bool, vendor_stopped: bool, words: str
) -> None:
    """There is no warning if the task had ended."""
    api.task |= {"cancelled": cancelled, "vendor_stopped": vendor_stopped, "may_be_billed": True}

    result = run("tasks", "delete", "task_1", "--url", api.url)

    assert (result.exit_code, result.stdout) == (0, "deleted task_1\n")
    assert words in result.stderr
    assert bool(result.stderr) is cancelled


def test_get_shows_the_fallback_that_served_the_task(api: FakeApi, run: Run) -> None:
    """The provider and model that the caller asked for are shown too."""
    api.task["served_by"] = {"provider": "q", "model": "n"}

    result = run("tasks", "get", "task_1", "--url", api.url)

    assert "q n" in result.stdout


def test_an_image_file_is_sent_in_the_field_of_the_model(api: FakeApi, run: Run, tmp_path: Path) -> None:
    """`--image-file` becomes base64 in `binary_data_base64` if the model's schema has this field."""
    (tmp_path / "in.png").write_bytes(b"bytes")

    run(*SUBMIT, "a fox", "--image-file", "in.png", "--url", api.url)

    assert api.posted[0]["binary_data_base64"] == [base64.b64encode(b"bytes").decode()]


def test_submit_can_wait_and_save(api: FakeApi, run: Run, tmp_path: Path) -> None:
    """With `--out` the command waits and saves the files; standard output is only JSON."""
    result = run(*SUBMIT, "a fox", "--out", "out", "--url", api.url, "--format", "json")

    answer = json.loads(result.stdout)
    assert answer["task"]["status"] == "completed"
    assert answer["files"] == [str(tmp_path / "out" / "task_1-1.png")]
    assert Path(answer["files"][0]).read_bytes() == b"picture"


def test_a_failed_task_ends_with_exit_code_1_and_its_reason(api: FakeApi, run: Run) -> None:
    """The exit code is for scripts, the reason for people."""
    api.task |= {"status": "failed", "error": {"code": "content_blocked", "message": "moderation refused it"}}

    result = run("tasks", "wait", "task_1", "--url", api.url)

    assert result.exit_code == 1
    assert "moderation refused it (content_blocked)" in result.stdout


def test_a_wait_that_times_out_says_how_to_wait_again(api: FakeApi, run: Run) -> None:
    """The task continues; the message has the command that waits again."""
    api.task["status"] = "processing"

    result = run("tasks", "wait", "task_1", "--timeout", "0.01", "--url", api.url)

    assert result.exit_code == 1
    assert f"polyrelay tasks wait task_1 --url {api.url}" in result.stderr


@pytest.mark.parametrize(
    ("args", "key"),
    [
        (("get", "task_1"), "task_id"),
        (("list",), "tasks"),
        (("cancel", "task_1"), "cancel"),
        (("retry", "task_1"), "may_be_billed"),
        (("delete", "task_1"), "removed"),
        (("download", "task_1"), "files"),
        (("wait", "task_1"), "task"),
    ],
)
def test_standard_output_is_only_json(api: FakeApi, run: Run, args: tuple[str, ...], key: str) -> None:
    """With `--format json` standard output is one JSON document."""
    result = run("tasks", *args, "--format", "json", "--url", api.url)

    assert result.exit_code == 0, result.output
    assert key in json.loads(result.stdout)


def test_the_list_is_filtered_by_the_server(api: FakeApi, run: Run) -> None:
    """Filters are sent unchanged."""
    run("tasks", "list", "--status", "failed", "--type", "video", "--user-id", "me", "--limit", "3", "--url", api.url)

    assert api.asked == ["GET /api/v1/ai/tasks?user_id=me&type=video&status=failed&limit=3"]


@pytest.mark.parametrize(("exact", "message"), [(True, "1 of 1000"), (False, "1 of 1000+")])
def test_an_inexact_total_has_a_plus(api: FakeApi, run: Run, exact: bool, message: str) -> None:
    """The server counts up to a limit; the plus says that there are more tasks."""
    api.total, api.total_is_exact = 1000, exact

    assert run("tasks", "list", "--url", api.url).stderr == f"{message}\n"


def test_a_refusal_is_reported_in_one_sentence(api: FakeApi, run: Run) -> None:
    """A refused call ends the command with exit code 1, without a stack trace."""
    result = run("tasks", "get", "task_2", "--url", api.url)

    assert result.exit_code == 1
    assert result.stderr == "error: there is no task (task_not_found)\n"


def test_an_unreachable_server_is_reported_with_advice(run: Run) -> None:
    """The message names the URL and how to start a server."""
    url = f"http://127.0.0.1:{free_port()}"

    result = run("tasks", "list", POLYRELAY_URL=url)

    assert result.exit_code == 1
    assert url in result.stderr
    assert "polyrelay dev" in result.stderr


def test_results_of_an_open_task_cannot_be_downloaded(api: FakeApi, run: Run) -> None:
    """The message names the status of the task."""
    api.task["status"] = "processing"

    result = run("tasks", "download", "task_1", "--url", api.url)

    assert result.exit_code == 1
    assert "processing" in result.stderr


def test_ctrl_c_while_waiting_says_how_to_wait_again(api: FakeApi) -> None:
    """The exit code is 130, and the message has the command that waits again."""
    api.task["status"] = "processing"
    command = [sys.executable, "-P", "-m", "cli", "tasks", "wait", "task_1", "--url", api.url]
    with subprocess.Popen(
        command, env=own_environment(os.environ), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        assert "processing" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        _, errors = waiting.communicate(timeout=30)

    assert waiting.returncode == 130
    assert f"polyrelay tasks wait task_1 --url {api.url}" in errors
