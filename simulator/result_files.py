"""Result files: the file names in answers, and what each file contains."""

from collections import OrderedDict

import msgspec

from simulator.drawing import Recipe

MOST_KEPT = 400_000


class IssuedFile(msgspec.Struct, frozen=True, kw_only=True):
    """
    A file that an answer links to.

    Attributes:
        prompt: Prompt of the generation.
        forbidden: Whether downloads get 403.
    """

    recipe: Recipe
    prompt: str
    forbidden: bool = False


class ResultFiles:
    """Files by name, drawn at the download. At most `MOST_KEPT` names are kept; the oldest are deleted."""

    def __init__(self) -> None:
        self._issued: OrderedDict[str, IssuedFile] = OrderedDict()

    def issue(self, recipe: Recipe, *, prompt: str, forbidden: bool = False) -> str:
        """Add a file and return its name."""
        self._issued[recipe.name] = IssuedFile(recipe=recipe, prompt=prompt, forbidden=forbidden)
        if len(self._issued) > MOST_KEPT:
            self._issued.popitem(last=False)
        return recipe.name

    def find(self, name: str) -> IssuedFile | None:
        """The file with this name, or None."""
        return self._issued.get(name)
