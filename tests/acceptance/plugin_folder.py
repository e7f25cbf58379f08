"""Installs plugins into a folder of the import path, as pip does: module, metadata, list of files."""

import hashlib
import shutil
from pathlib import Path

ANSWERS = '''
"""A provider with submit and poll; its result is its version."""

from polyrelay import Done, Job, Model, Outcome, Params, Pending, Provider, TaskType, TextOutput, hookimpl


class Words(Params, frozen=True):
    prompt: str


class Answers:
    models = (Model(name="words", type=TaskType.TEXT, params=Words, timeout_s=60),)

    async def submit(self, job: Job[Words]) -> Outcome:
        return Pending(operation=job.task_id, poll_after_s=0.2)

    async def poll(self, job: Job[Words], operation: str) -> Outcome:
        return Done(outputs=(TextOutput(text="@version@"),))

    async def aclose(self) -> None:
        pass


@hookimpl
def register_providers(env):
    return [Provider("@name@", [Answers()])]
'''


class PluginFolder:
    """
    A folder of installed plugins.

    Args:
        path: The folder; it must be in PYTHONPATH of the processes that load the plugins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def install(self, name: str, version: str, source: str = ANSWERS) -> None:
        """Install that version in place of any other, as `pip install` does."""
        self.uninstall(name)
        module = self.path / f"plugin_{name}.py"
        text = source.replace("@name@", name).replace("@version@", version)
        module.write_text(text, "utf-8")
        dist_info = self.path / f"polyrelay_{name}-{version}.dist-info"
        dist_info.mkdir()
        (dist_info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: polyrelay-{name}\nVersion: {version}\n", "utf-8"
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        (dist_info / "RECORD").write_text(f"{module.name},sha256={digest},{len(text)}\n", "utf-8")
        (dist_info / "entry_points.txt").write_text(f"[polyrelay.providers]\n{name} = plugin_{name}\n", "utf-8")

    def uninstall(self, name: str) -> None:
        """Delete all files of the plugin, as `pip uninstall` does."""
        (self.path / f"plugin_{name}.py").unlink(missing_ok=True)
        for cached in (self.path / "__pycache__").glob(f"plugin_{name}.*.pyc"):
            cached.unlink()
        for dist_info in self.path.glob(f"polyrelay_{name}-*.dist-info"):
            shutil.rmtree(dist_info)
