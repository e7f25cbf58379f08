"""Which result files have been given out, and to whom."""

from collections import OrderedDict

import msgspec

from simulator.drawing import Recipe

KEPT = 400_000


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """
    A file that an answer links to.

    Attributes:
        prompt: What it was drawn for.
        forbidden: Downloads are answered 403.
    """

    recipe: Recipe
    prompt: str
    forbidden: bool = False


class Shelf:
    """Files by name; contents are drawn when somebody downloads them, the oldest names are forgotten beyond `KEPT`."""

    def __init__(self) -> None:
        self._issued: OrderedDict[str, Issued] = OrderedDict()

    def issue(self, recipe: Recipe, *, prompt: str, forbidden: bool = False) -> str:
        """Give a file out; returns its name."""
        self._issued[recipe.name] = Issued(recipe=recipe, prompt=prompt, forbidden=forbidden)
        if len(self._issued) > KEPT:
            self._issued.popitem(last=False)
        return recipe.name

    def find(self, name: str) -> Issued | None:
        """What was given out under this name."""
        return self._issued.get(name)
