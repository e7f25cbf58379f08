"""`.ci/audit`: what it makes of what pip-audit says. The tool itself is played by a script of its name."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit"
SOUND = {"name": "httpx", "version": "0.28.1", "vulns": []}
FLAWED = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "arq", "skip_reason": "not found"}
Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Runs the script where pip-audit says that of the packages: its exit code and what it prints."""

    def run(packages: list[dict[str, Any]] | None, *arguments: str, required: bool = False) -> tuple[int, str]:
        said = "no network" if packages is None else json.dumps({"dependencies": packages})
        (tmp_path / "pip_audit.py").write_text(f"print({said!r})")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "AUDIT": "required" if required else ""}
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_packages_without_flaws_pass(audit: Audit) -> None:
    """It says how many were looked up."""
    assert audit([SOUND], required=True) == (0, "audit: no known vulnerabilities in 1 pinned packages\n")


def test_a_flaw_fails_and_is_named_with_what_mends_it(audit: Audit) -> None:
    """Whatever else could be looked up."""
    code, text = audit([SOUND, FLAWED, UNKNOWN])

    assert code == 1
    assert "pillow 1.0: PYSEC-1, fixed by 1.1" in text


@pytest.mark.parametrize("packages", [None, [SOUND, UNKNOWN]], ids=["no answer", "not all known"])
def test_what_cannot_be_looked_up_is_said_and_fails_where_it_must_not_be(
    audit: Audit, packages: list[dict[str, Any]] | None
) -> None:
    """Never a quiet pass; an error only where CI asks for it."""
    for required in (False, True):
        code, text = audit(packages, required=required)
        assert code == int(required)
        assert "NOT DONE" in text


def test_the_same_lock_is_looked_up_once_a_day(audit: Audit, tmp_path: Path) -> None:
    """What was found is said again; where CI asks for it, it is looked up again."""
    memory = str(tmp_path / "audited")
    first = audit([SOUND, FLAWED], memory)

    assert audit(None, memory) == first
    assert audit([SOUND], memory, required=True)[0] == 0
