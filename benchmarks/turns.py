"""Measures all systems in turns, round by round, so that a disturbance of the machine affects all of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from benchmarks.bench import Bench
from benchmarks.series import Series


class Failed(Exception):
    """A system did not do what was requested; the text says why."""


class Contestant(Struct, frozen=True, kw_only=True):
    """
    A system that is measured.

    Attributes:
        name: Its name in tables.
        setting: Its settings, for the table.
        missing: The reason why it cannot be measured, or None.
    """

    name: str
    setting: str = ""
    missing: str | None = None


async def in_turns(
    bench: Bench,
    contestants: Sequence[Contestant],
    measure: Callable[[str], Awaitable[Mapping[str, float]]],
    *,
    case: str,
    units: Mapping[str, str],
    about: str,
) -> Sequence[Series]:
    """
    Measure each system once in each round. A system that fails is left out of the following rounds.

    Args:
        measure: Measures the contestant of that name; raises `Failed`.
        case: The case that is measured.
        units: The units of the measures, in order.
        about: What is measured, for progress messages.
    """
    numbers: dict[tuple[str, str], list[float]] = {}
    missing = {each.name: each.missing for each in contestants if each.missing}
    for turn in range(bench.rounds):
        for each in contestants:
            if each.name in missing:
                continue
            bench.say(f"{about}: round {turn + 1} of {bench.rounds}, {each.name}")
            try:
                for name, number in (await measure(each.name)).items():
                    numbers.setdefault((each.name, name), []).append(number)
            except Failed as error:
                missing[each.name] = str(error)
    return [
        Series(
            case=case,
            system=each.name,
            measure=name,
            unit=unit,
            rounds=tuple(numbers.get((each.name, name), ())),
            setting=each.setting,
            missing=missing.get(each.name),
        )
        for each in contestants
        for name, unit in units.items()
    ]
