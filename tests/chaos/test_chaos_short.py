"""The short chaos run, part of the test suite; the long one is `make chaos`."""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.report import explained
from tests.chaos.run import Options, run

SEED: Final = int(os.environ.get("CHAOS_SEED", "7"))
SHORT: Final = Options(
    seconds=10.0, seed=SEED, rate=5.0, deadline_s=(6.0, 12.0), interval_s=0.9, longest_outage_s=0.6, drain_s=1.0
)


@pytest.mark.timeout(300)
async def test_every_invariant_holds_after_faults_under_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After kills, data loss in Valkey and vendor faults under load, no task is lost, submitted twice or stuck."""
    with capsys.disabled():
        print(f"\nchaos with seed {SEED}; set CHAOS_SEED for another")

    outcome = await run(SHORT, tmp_path)

    print(outcome.report.table())
    assert outcome.report.violations == [], explained(outcome.report.violations, outcome.evidence, outcome.report.log)
    assert outcome.report.counts["tasks"]["ended completed"] > 0
