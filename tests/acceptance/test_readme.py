"""The commands of the documentation, run unchanged against a running stack, except for the port."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from cli.embedded.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/tutorials/first-task.md", "docs/how-to/image-to-image.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_unchanged(page: str, stack: Stack, tmp_path: Path) -> None:
    """All `bash` blocks of a page run in order in one shell without an error."""
    Image.new("RGB", (640, 640), "orange").save(tmp_path / "photo.jpg")

    done = run(page, stack, tmp_path)

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_quickstart_saves_an_image_a_video_and_a_text(stack: Stack, tmp_path: Path) -> None:
    """The README's commands save a JPEG and an MP4, and print a text, the list, the catalogue and a refusal."""
    done = run("README.md", stack, tmp_path)

    assert (tmp_path / "fox.jpg").read_bytes().startswith(b"\xff\xd8\xff"), done.stdout
    assert (tmp_path / "waves.mp4").read_bytes()[4:8] == b"ftyp"
    task, listed, models, removed, refused = answers(done)
    assert task["data"]["status"] == "completed"
    assert {"image", "video", "text"} <= {found["type"] for found in listed["data"]["tasks"]}
    assert models["data"]["total"] > 0
    assert removed["data"]["cancelled"] is False
    assert [problem["field"] for problem in refused["error"]["details"]] == ["size"]
    assert "HTTP 422" in done.stdout


def test_the_response_in_the_readme_has_the_fields_of_a_real_one(stack: Stack, tmp_path: Path) -> None:
    """The README's response is a subset of a real one."""
    (shown,) = map(msgspec.json.decode, blocks("README.md", "json"))
    done = run("README.md", stack, tmp_path)

    real = answers(done)[0]
    assert set(shown) == set(real)
    assert set(shown["data"]) <= set(real["data"])
    assert shown["message"] == real["message"]
    for name in ("type", "status", "provider", "model", "error"):
        assert shown["data"][name] == real["data"][name]


def run(page: str, stack: Stack, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the page's commands in one shell that stops at the first error."""
    script = "\n".join(["set -euo pipefail", *blocks(page, "bash")])
    assert "127.0.0.1:8080" in script
    return subprocess.run(
        ["bash", "-c", script.replace("127.0.0.1:8080", f"127.0.0.1:{stack.port}")],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=90,
    )


def answers(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    """The API's responses in the output of the commands."""
    return [msgspec.json.decode(line) for line in done.stdout.splitlines() if line.startswith('{"success"')]


def blocks(page: str, language: str) -> list[str]:
    """The page's code blocks in that language."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
