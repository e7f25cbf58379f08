"""Tests of `.ci/audit`, with a script in place of pip-audit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit"
NO_FLAW = {"name": "httpx", "version": "0.28.1", "vulns": []}
FLAWED = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "arq", "skip_reason": "not found"}
Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Runs the script with that output of pip-audit; returns its exit code and what it prints."""

    def run(packages: list[dict[str, Any]] | None, *arguments: str, required: bool = False) -> tuple[int, str]:
        output = "no network" if packages is None else json.dumps({"dependencies": packages})
        (tmp_path / "pip_audit.py").write_text(f"print({output!r})")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "AUDIT": "required" if required else ""}
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_packages_without_flaws_pass(audit: Audit) -> None:
    """The exit code is 0, and the number of packages is printed."""
    assert audit([NO_FLAW], required=True) == (0, "audit: no known vulnerabilities in 1 pinned packages\n")


def test_a_flaw_fails_and_is_reported_with_the_fixed_version(audit: Audit) -> None:
    """The exit code is 1 even if other packages could not be audited."""
    code, text = audit([NO_FLAW, FLAWED, UNKNOWN])

    assert code == 1
    assert "pillow 1.0: PYSEC-1, fixed by 1.1" in text


@pytest.mark.parametrize("packages", [None, [NO_FLAW, UNKNOWN]], ids=["no answer", "not all known"])
def test_a_package_that_cannot_be_audited_is_reported_and_fails_if_required(
    audit: Audit, packages: list[dict[str, Any]] | None
) -> None:
    """The output says NOT DONE; the exit code is 1 only with `AUDIT=required`."""
    for required in (False, True):
        code, text = audit(packages, required=required)
        assert code == int(required)
        assert "NOT DONE" in text


def test_the_result_of_an_audit_is_reused_unless_required(audit: Audit, tmp_path: Path) -> None:
    """Within a day the saved result is printed again; with `AUDIT=required` the audit runs again."""
    saved = str(tmp_path / "audited")
    first = audit([NO_FLAW, FLAWED], saved)

    assert audit(None, saved) == first
    assert audit([NO_FLAW], saved, required=True)[0] == 0
