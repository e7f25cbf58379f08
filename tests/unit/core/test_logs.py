"""Logs: one JSON object for each line, without secrets."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from core.logs import redact, set_up_logs
from core.settings import Settings
from polyrelay import Secret

KEY = "sk-abcdefghijklmnop1234"


class Written:
    """The text that was written to standard error."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._text = ""

    def getvalue(self) -> str:
        """All text so far."""
        self._text += self._captured.readouterr().err
        return self._text


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """The text on standard error; the settings of logging are restored afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield Written(capsys)
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(stream: Written) -> list[dict[str, Any]]:
    """The lines as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def shown(**event: Any) -> dict[str, Any]:
    """An event after it was redacted."""
    return dict(redact(None, "info", event))


def test_a_line_is_one_json_object(logs: Written) -> None:
    """Each event is a line of JSON with its name, level, logger, time in UTC and the bound ids."""
    set_up_logs(Settings(log_format="json"), process="t")

    with structlog.contextvars.bound_contextvars(task_id="task_1"):
        structlog.get_logger("polyrelay.x").info("task_completed", attempt=2, words="多\nlines")

    (line,) = lines(logs)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "task_completed",
        "level": "info",
        "logger": "polyrelay.x",
        "attempt": 2,
        "words": "多\nlines",
        "task_id": "task_1",
    }


def test_nested_values_and_objects_are_logged_too(logs: Written) -> None:
    """Lists and objects are JSON; other values are written with their Python representation."""
    set_up_logs(Settings(log_format="json"), process="t")

    structlog.get_logger("x").info(
        "odd", secret_box=Secret("hidden-value"), words=["a", {"b": 1}], key=Secret("hidden-value")
    )

    (line,) = lines(logs)
    assert (line["words"], line["secret_box"]) == (["a", {"b": 1}], "***")
    assert "hidden-value" not in logs.getvalue()


async def test_lines_of_one_loop_iteration_are_written_together_and_in_order(logs: Written) -> None:
    """They are written at the end of the iteration, or before the next line that takes the standard path."""
    set_up_logs(Settings(log_format="json"), process="t")
    log = structlog.get_logger("polyrelay.x")

    log.info("first")
    log.info("second")
    assert logs.getvalue() == ""
    await asyncio.sleep(0)
    assert [line["event"] for line in lines(logs)] == ["first", "second"]

    log.info("third")
    log.info("fourth", why=["not plain"])
    assert [line["event"] for line in lines(logs)] == ["first", "second", "third", "fourth"]


def test_a_stopped_event_loop_loses_no_line(logs: Written) -> None:
    """Lines of a stopped loop are written with the next line."""
    set_up_logs(Settings(log_format="json"), process="t")
    log = structlog.get_logger("polyrelay.x")

    async def log_last() -> None:
        log.info("last words")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(log_last())
    loop.close()
    log.info("afterwards")

    assert [line["event"] for line in lines(logs)] == ["last words", "afterwards"]


def test_libraries_log_the_same_way(logs: Written) -> None:
    """Lines of libraries that use `logging` have the same form, without secrets."""
    set_up_logs(Settings(log_format="json"), process="t")

    logging.getLogger("some.library").warning("sent %s", f"Authorization: Bearer {KEY}")

    (line,) = lines(logs)
    assert (line["event"], line["logger"]) == ("sent Authorization: Bearer ***", "some.library")


def test_an_exception_is_logged_without_local_variables(logs: Written) -> None:
    """A traceback has the place of the error, but not the local variables, such as keys and inputs."""
    set_up_logs(Settings(log_format="json"), process="t")

    def break_down() -> None:
        prompt = "a callers private words"
        raise ValueError(f"broke with {KEY}", len(prompt))

    try:
        break_down()
    except ValueError:
        structlog.get_logger("x").exception("it_broke")
        logging.getLogger("some.library").exception("it broke there")

    assert "break_down" in logs.getvalue()
    assert "private words" not in logs.getvalue()
    assert KEY not in logs.getvalue()
    assert [line["exception"][0]["exc_type"] for line in lines(logs)] == ["ValueError", "ValueError"]


def test_the_console_format_hides_the_same(logs: Written) -> None:
    """The format for terminals contains no local variables and no secrets either."""
    set_up_logs(Settings(log_format="console"), process="t")

    try:
        private = "".join(["a callers ", "private words"])
        raise ValueError(f"broke with {KEY}", len(private))
    except ValueError:
        structlog.get_logger("x").exception("it_broke", api_key=KEY)

    assert "ValueError" in logs.getvalue()
    assert "a callers private words" not in logs.getvalue()
    assert KEY not in logs.getvalue()


def test_the_log_level_is_applied(logs: Written) -> None:
    """Events below `LOG_LEVEL` are not written; some libraries log from warning on."""
    set_up_logs(Settings(log_format="json", log_level="info"), process="t")

    structlog.get_logger("x").debug("detail")
    logging.getLogger("httpx").info("GET https://vendor")

    assert logs.getvalue() == ""


def test_a_folder_gets_a_file_for_each_process(logs: Written, tmp_path: Path) -> None:
    """With `LOG_DIR` the lines are also written to `<process>.log`, always as JSON."""
    set_up_logs(Settings(log_format="console", log_dir=tmp_path / "new"), process="worker")

    structlog.get_logger("x").info("started")

    assert json.loads((tmp_path / "new" / "worker.log").read_text("utf-8"))["event"] == "started"


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "API_KEY",
        "api_key",
        "apiKey",
        "x-api-key",
        "authorization",
        "Authorization",
        "password",
        "access_key",
        "AccessKeyId",
        "secretAccessKey",
        "ark_api_key",
        "token",
        "access_token",
        "X-Signature",
        "credentials",
        "set-cookie",
    ],
)
def test_a_secret_name_hides_its_value(name: str) -> None:
    """A value with a secret name is hidden at any depth, whatever the style of the name."""
    assert shown(**{name: "hidden-value"}) == {name: "***"}
    nested = {"headers": [{name: "hidden-value"}], "also": ({name: ["hidden-value"]},)}
    assert "hidden-value" not in repr(shown(data=nested))


@pytest.mark.parametrize("name", ["input_tokens", "max_tokens", "keyboard", "tokenizer", "secretary", "key"])
def test_a_name_that_only_sounds_secret_is_shown(name: str) -> None:
    """Counts of tokens, and words that only begin like a secret, are shown."""
    assert shown(**{name: 7}) == {name: 7}


@pytest.mark.parametrize(
    "text",
    [
        f"the key {KEY} was refused",
        f"Bearer {KEY}",
        "mongodb://admin:hidden-value@db:27017/x",
        "redis://:hidden-value@cache:6379/0",
        "GET https://host/file?X-Tos-Signature=hidden-value&x=1",
        "https://host/?api_key=hidden-value",
        "Authorization: Basic aGlkZGVuLXZhbHVl",
        "Authorization: basic\taGlkZGVuLXZhbHVl",
        "bearer\u00a0hidden-value",
    ],
)
def test_a_secret_within_a_text_is_hidden(text: str) -> None:
    """Keys, passwords in URLs and signatures in links are hidden anywhere in a text."""
    for event in (shown(event=text), shown(reason=text), shown(data={"list": [text]})):
        assert "hidden-value" not in repr(event)
        assert "aGlkZGVu" not in repr(event)
        assert KEY not in repr(event)


def test_plain_texts_are_unchanged() -> None:
    """A text without a secret is written unchanged."""
    event = {"event": "task_failed", "reason": "the vendor's limit: 3 of 3 open; see https://host/docs?a=b", "n": None}
    assert shown(**event) == event


def test_long_texts_are_cut() -> None:
    """A text of more than 2000 characters is cut and has a mark with its length, also in nested values."""
    for value in (shown(reason="x" * 9000)["reason"], shown(data={"reason": "x" * 9000})["data"]["reason"]):
        assert len(value) < 2100
        assert "9000 characters" in value


def test_nested_values_are_cut_at_a_depth() -> None:
    """A value that contains itself is cut as well."""
    loop: dict[str, Any] = {}
    loop["again"] = loop

    assert "***" in repr(shown(data=loop))
