"""Plugins as an installer leaves them in a folder of the import path: module, metadata, list of files."""

import hashlib
import shutil
from pathlib import Path

ANSWERS = '''
"""A provider that takes its time, in two steps, and answers with its version."""

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
        path: Goes to PYTHONPATH of the processes that are to see them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def install(self, name: str, version: str, source: str = ANSWERS) -> None:
        """That version of the plugin and no other, as after `pip install`."""
        self.uninstall(name)
        module = self.path / f"plugin_{name}.py"
        text = source.replace("@name@", name).replace("@version@", version)
        module.write_text(text, "utf-8")
        described = self.path / f"polyrelay_{name}-{version}.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: polyrelay-{name}\nVersion: {version}\n", "utf-8"
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        (described / "RECORD").write_text(f"{module.name},sha256={digest},{len(text)}\n", "utf-8")
        (described / "entry_points.txt").write_text(f"[polyrelay.providers]\n{name} = plugin_{name}\n", "utf-8")

    def uninstall(self, name: str) -> None:
        """Nothing of the plugin is left, as after `pip uninstall`."""
        (self.path / f"plugin_{name}.py").unlink(missing_ok=True)
        for cached in (self.path / "__pycache__").glob(f"plugin_{name}.*.pyc"):
            cached.unlink()
        for described in self.path.glob(f"polyrelay_{name}-*.dist-info"):
            shutil.rmtree(described)
