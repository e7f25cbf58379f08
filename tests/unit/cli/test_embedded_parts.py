"""Parts of the embedded stack that need no server: folder lock, log tail, and choice of upstreams."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.embedded.folder_lock import folder_lock
from cli.embedded.log_tail import LogTail
from cli.embedded.processes import ChildProcess
from cli.embedded.readiness import runs
from cli.embedded.start_errors import DataFolderInUse
from cli.embedded.upstreams import VENDORS, simulated, without_keys
from core.settings import read_settings


def child(folder: Path, name: str = "api") -> ChildProcess:
    return ChildProcess(name, ["true"], env={}, log_file=folder / f"{name}.log", ready=runs)


def test_a_folder_is_locked_by_one_process(tmp_path: Path) -> None:
    """The second process gets an error that names the first; when the first ends, the folder is free."""
    hold = (
        "import sys, pathlib, cli.embedded.folder_lock as f\n"
        "with f.folder_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataFolderInUse, match=rf"process {holder.pid}\)"), folder_lock(tmp_path):
            pass
        holder.stdin.close()
        holder.wait()

    with folder_lock(tmp_path):
        pass


def test_the_tail_gives_whole_new_lines_of_each_process(tmp_path: Path) -> None:
    """Earlier lines are skipped, a partial line is returned when it is complete, and colours can be removed."""
    (tmp_path / "api.log").write_text("old\n")
    tail = LogTail([child(tmp_path), child(tmp_path, "worker")], colours=False)

    with (tmp_path / "api.log").open("a") as log:
        log.write("\x1b[32mnew\x1b[0m\nhal")
    (tmp_path / "worker.log").write_text("hello\n")
    first = list(tail.lines())
    with (tmp_path / "api.log").open("a") as log:
        log.write("f\n")

    assert first == [("api", "new"), ("worker", "hello")]
    assert list(tail.lines()) == [("api", "half")]
    assert list(tail.lines()) == []


def test_a_vendor_with_a_key_is_called_for_real() -> None:
    """The simulator stands in for exactly the vendors without any key."""
    settings = read_settings({"ARK_API_KEY": "k", "VOLCENGINE_ACCESS_KEY": "half a pair"})

    assert [vendor.base_url for vendor in without_keys(settings)] == ["OPENAI_BASE_URL"]


def test_simulated_vendors_have_the_simulators_url_and_keys() -> None:
    """The base URL of each vendor points to the simulator, with the path of the real vendor."""
    environment = simulated(VENDORS, "http://127.0.0.1:1")

    assert environment["VOLCENGINE_VISUAL_URL"] == "http://127.0.0.1:1"
    assert environment["ARK_BASE_URL"] == "http://127.0.0.1:1/api/v3"
    assert environment["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    assert without_keys(read_settings(environment)) == ()
