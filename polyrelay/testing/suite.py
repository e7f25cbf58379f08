"""ProviderContract: the test class that authors of plugins inherit."""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from polyrelay.env import Env
from polyrelay.hooks import providers_of
from polyrelay.provider import Provider
from polyrelay.testing.checks.all import BY_NAME, CHECKS, PluginCheck, ProviderCheck, TalkCheck, rule_of
from polyrelay.testing.service_fixture import NotSetUp, SetUp, open_fixture
from polyrelay.testing.talks import Talk
from polyrelay.testing.wire import Wire

if TYPE_CHECKING:
    import pytest

MOST_SHOWN = 12


class ProviderContract:
    """
    Runs the checks of the contract on one plugin, each as a test of its own.

        class TestAcme(ProviderContract):
            plugin = polyrelay_acme
            env = {"ACME_API_KEY": "made-up-acme-key"}
            talks = [Talk(model="acme-1", params={"prompt": "a fox"}, accepted=…, refused=…, working=…, done=…)]

    Attributes:
        plugin: The object that the entry point names: a module, or an object with the hook.
        env: Settings with which the provider is available; made-up secrets have at least eight characters.
        talks: The vendor's answers.
        skips: Checks that cannot pass, by name, each with the reason, which pytest's report shows.
        not_accepted: Server errors, such as 503, for which the vendor documents that nothing was started; with the
            source. Only these may raise NotAccepted after a submit.
    """

    plugin: object = None  # no ClassVar: mypy refuses a module in its place
    env: ClassVar[Mapping[str, str]] = {}
    talks: ClassVar[Sequence[Talk]] = ()
    skips: ClassVar[Mapping[str, str]] = {}
    not_accepted: ClassVar[Mapping[int, str]] = {}

    def __init_subclass__(cls) -> None:
        """
        Refuse an incomplete test class.

        Raises:
            TypeError: pytest is missing, a skip names no check or has no reason, or `plugin` or `talks` is not set.
        """
        super().__init_subclass__()
        if importlib.util.find_spec("pytest") is None:
            raise TypeError("polyrelay.testing.ProviderContract needs pytest: pip install pytest")
        if cls.plugin is None or not cls.talks:
            raise TypeError(f"{cls.__name__}: set `plugin` to the module with the hook, and `talks`")
        for problem in _problems(cls):
            raise TypeError(f"{cls.__name__}: {problem}")

    def providers(self, env: Env) -> Iterable[Provider]:
        """The providers that the plugin's hook returns. Override this to build a provider in another way."""
        return providers_of(self.plugin, env)

    def pytest_generate_tests(self, metafunc: "pytest.Metafunc") -> None:
        """Generate a test for each check, and for each talk where the check needs one."""
        if {"check", "talk"} <= set(metafunc.fixturenames):
            cases = list(_cases(self.talks))
            ids = [name if talk is None else f"{name}-{talk.model}" for name, talk in cases]
            metafunc.parametrize(("check", "talk"), cases, ids=ids)

    def test_contract(self, check: str, talk: Talk | None) -> None:
        """The provider passes the check."""
        import pytest

        if check in self.skips:
            pytest.skip(f"{check}: {self.skips[check]}")
        set_up = SetUp(register=self.providers, settings=self.env, talks=self.talks, not_accepted=self.not_accepted)
        if found := findings(check, set_up, talk):
            pytest.fail(_report(check, talk, found), pytrace=False)


def findings(name: str, set_up: SetUp, talk: Talk | None) -> list[str]:
    """The findings of one check."""
    try:
        match BY_NAME[name]:
            case ProviderCheck(run=of_provider):
                with Wire().connected():
                    providers = list(set_up.register(Env(set_up.settings)))
                return [message for provider in providers for message in of_provider(provider)]
            case PluginCheck(run=of_plugin):
                return list(of_plugin(set_up))
            case TalkCheck(run=of_talk):
                assert talk is not None  # noqa: S101 - `_cases` gives one
                with open_fixture(set_up, talk) as fixture:
                    return list(of_talk(fixture))
    except NotSetUp as error:
        return [str(error)]


def _cases(talks: Sequence[Talk]) -> Iterator[tuple[str, Talk | None]]:
    for check in CHECKS:
        if isinstance(check, TalkCheck):
            own = [(talk, *talk.others) if check.each_model else (talk,) for talk in talks if check.applies(talk)]
            yield from ((check.run.__name__, talk) for group in own for talk in group)
        else:
            yield check.run.__name__, None


def _problems(suite: type[ProviderContract]) -> Iterator[str]:
    for name, reason in suite.skips.items():
        if name not in BY_NAME:
            yield f"skips names {name!r}, which is not a check; the checks are {', '.join(BY_NAME)}"
        if not reason.strip():
            yield f"skips[{name!r}] has no reason: say why the check cannot pass"
    for status, source in suite.not_accepted.items():
        if not 500 <= status <= 599:
            yield f"not_accepted names {status}; it is for server errors, 500 to 599"
        if not source.strip():
            yield f"not_accepted[{status}] has no source: name the vendor's page that says that nothing was started"
    models = [name for talk in suite.talks for name in (talk.model, *talk.also)]
    if twice := sorted({model for model in models if models.count(model) > 1}):
        yield f"there are two talks for {', '.join(twice)}"


def _report(check: str, talk: Talk | None, found: Sequence[str]) -> str:
    head = f"{check}{f' ({talk.model})' if talk is not None else ''}: {rule_of(BY_NAME[check])}"
    more = [f"  … and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else []
    return "\n".join([head, *(f"  - {message}" for message in found[:MOST_SHOWN]), *more])
