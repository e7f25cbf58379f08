"""Settings: allowed values, and values with which the process does not start."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.embedded.upstreams import VENDORS
from core.errors import ConfigurationError
from core.setting_fields import environment_name
from core.settings import NAMES, Settings, read_settings
from core.vendor_settings import BASE_URLS, VendorSettings, read_vendor_settings
from polyrelay import Env, Secret


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests read no `.env` except their own."""
    monkeypatch.chdir(tmp_path)


def test_nothing_set_is_the_default() -> None:
    """Without settings the defaults apply."""
    settings = read_settings({})
    assert (settings.port, settings.worker_concurrency, settings.log_keep_days) == (8080, 10, 7)
    assert settings.ark_base_url == "https://ark.cn-beijing.volces.com/api/v3"


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PORT", " 9000 ", "port", 9000),
        ("AI_TIMEOUT", "5m", "ai_timeout_s", 300.0),
        ("MAX_BODY_BYTES", "2MiB", "max_body_bytes", 2 * 2**20),
        ("LEASE_S", "45s", "lease_s", 45.0),
        ("LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("RESULTS", "link", "results", "link"),
        ("LOG_DIR", "/var/log/x", "log_dir", Path("/var/log/x")),
        ("ARK_API_KEY", "k\n", "ark_api_key", Secret("k")),
        ("OPENAI_BASE_URL", "https://proxy/v1/", "openai_base_url", "https://proxy/v1"),
        ("MONGO_URL", "mongodb://u:p@db/x", "mongo_url", Secret("mongodb://u:p@db/x")),
    ],
)
def test_a_setting_is_read(name: str, text: str, field: str, value: Any) -> None:
    """Each kind of setting is parsed from the documented form."""
    assert getattr(read_settings({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("PORT", "0", "a whole number from 1 to 65535"),
        ("PORT", "80a", "a whole number from 1 to 65535"),
        ("PORT", "9" * 50, "a whole number"),
        ("WORKER_CONCURRENCY", "-1", "a whole number from 1 to 1000"),
        ("AI_TIMEOUT", "soon", "a duration such as 30s"),
        ("AI_TIMEOUT", "2h", "a duration from 1s to 3600s"),
        ("MAX_BODY_BYTES", "2GiB", "a size from 1KiB to 1GiB"),
        ("LOG_LEVEL", "loud", "debug or info or warning or error"),
        ("RESULTS", "both", "copy or link"),
        ("ARK_BASE_URL", "ark.test", "http://host… or https://host…"),
        ("PUBLIC_URL", "http://[::1", "http://host… or https://host…"),
        ("LOG_KEEP_DAYS", "1.5", "a whole number"),
    ],
)
def test_a_wrong_value_stops_the_start(name: str, text: str, allowed: str) -> None:
    """The error for a wrong value has its name, the value and what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({name: text})
    assert f"{name}={text!r}: allowed is" in str(caught.value)
    assert allowed in str(caught.value)


def test_all_wrong_values_are_reported_at_once() -> None:
    """All wrong values are listed in one error."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"PORT": "x", "LOG_LEVEL": "y", "REDIS_URL": "z", "HOST": "ok"})
    assert all(f"  {name}=" in str(caught.value) for name in ("PORT", "LOG_LEVEL", "REDIS_URL"))
    assert "HOST" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://u:hidden-value@db", "hidden-value", "mongodb://u:hidden-value＃@db/x", "mongodb://[hidden-value"]
)
def test_a_wrong_secret_is_not_shown(url: str) -> None:
    """The error for a wrong secret does not contain it, even if Python's own error does."""
    with pytest.raises(ConfigurationError, match=r"MONGO_URL=\*\*\*: allowed is mongodb://host") as caught:
        read_settings({"MONGO_URL": url})
    assert "hidden-value" not in str(caught.value)


def test_settings_do_not_show_secrets() -> None:
    """Neither the `repr` of the settings nor the output of commands contains a secret."""
    secrets = {
        "ARK_API_KEY": "hidden-value",
        "VOLCENGINE_SECRET_KEY": "hidden-value",
        "VOLCENGINE_ACCESS_KEY": "hidden-value",
        "OPENAI_API_KEY": "hidden-value",
        "MONGO_URL": "mongodb://u:hidden-value@db/x",
        "REDIS_URL": "redis://:hidden-value@cache/0",
    }
    settings = read_settings(secrets)
    assert "hidden-value" not in repr(settings)


def test_an_empty_value_is_unset() -> None:
    """`NAME=` is the same as no setting, also for plugins."""
    settings = read_settings({"PORT": "", "ARK_API_KEY": "  ", "PLUGIN_KEY": ""})
    assert (settings.port, settings.ark_api_key, settings.env.get("PLUGIN_KEY")) == (8080, None, None)


def test_the_environment_is_over_the_file(tmp_path: Path) -> None:
    """`.env` in the working directory is read; the environment takes precedence; plugins see both."""
    (tmp_path / ".env").write_text('PORT=1\nHOST=a\nPLUGIN_KEY="from the file"\n', "utf-8")
    settings = read_settings({"PORT": "2", "OTHER": "x"})
    assert (settings.port, settings.host) == (2, "a")
    assert (settings.env.get("PLUGIN_KEY"), settings.env.get("OTHER")) == ("from the file", "x")


@pytest.mark.parametrize("name", ["WORKER_CONCURENCY", "ARK_APIKEY", "VOLCENGINE_ACCES_KEY", "LOGLEVEL"])
def test_a_misspelt_name_stops_the_start(tmp_path: Path, name: str) -> None:
    """A name in `.env` that is similar to a setting's is an error with a suggestion; other names are ignored."""
    (tmp_path / ".env").write_text(f"{name}=5\nMY_PLUGIN_REGION=cn\n", "utf-8")
    with pytest.raises(ConfigurationError, match=f"{name}: there is no such setting; did you mean ") as caught:
        read_settings({})
    assert "MY_PLUGIN" not in str(caught.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """If a settings file that was named is missing or is not text, the process does not start."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_settings({}, tmp_path / "none.env")
    (tmp_path / "bad.env").write_bytes(b"PORT=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_settings({}, tmp_path / "bad.env")


def test_every_field_has_a_name_and_a_meaning() -> None:
    """Each field is set by one name in the environment and explained in the class."""
    assert set(NAMES.values()) == set(Settings.__struct_fields__) - {"env"}
    docs = f"{VendorSettings.__doc__}{Settings.__doc__}"
    assert all(docs.count(f"        {field}: ") == 1 for field in NAMES.values())


def test_no_further_duration_has_a_suffix_in_its_name() -> None:
    """Five names of durations end with `_S`; every other name has no unit, because its value says it (`30s`)."""
    assert sorted(name for name in NAMES if name.endswith("_S")) == [
        "LEASE_S",
        "LOOP_STALL_S",
        "RECONCILE_S",
        "REQUEST_TIMEOUT_S",
        "SHUTDOWN_GRACE_S",
    ]
    assert environment_name("some_new_timeout_s") == "SOME_NEW_TIMEOUT"


ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"AI_TIMEOUT": "90", "POLL_SCALE": "0.5", "MODEL_CATALOGUE": "models.toml"},
    {"ARK_BASE_URL": "http://ark.test/api/v3/", "ARK_API_KEY": " a\n", "OPENAI_API_KEY": ""},
    {"VOLCENGINE_ACCESS_KEY": "b", "VOLCENGINE_SECRET_KEY": "c", "VOLCENGINE_VISUAL_URL": "https://visual.test"},
    {"OPENAI_BASE_URL": "https://proxy/v1", "OPENAI_API_KEY": "d", "PORT": "9000"},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_a_provider_reads_what_the_server_reads(environment: dict[str, str]) -> None:
    """The vendor settings of a plugin's `Env` are those of `Settings`, defaults included."""
    settings = read_settings(environment)

    read = read_vendor_settings(settings.env)

    assert msgspec.structs.asdict(read) == {
        field: getattr(settings, field) for field in VendorSettings.__struct_fields__
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [("AI_TIMEOUT", "2h"), ("AI_TIMEOUT", "soon"), ("POLL_SCALE", "0"), ("POLL_SCALE", "inf"), ("ARK_BASE_URL", "ark")],
)
def test_a_provider_refuses_what_the_server_refuses(name: str, text: str) -> None:
    """A wrong vendor setting has one message, whether the server or a provider reads it."""
    with pytest.raises(ConfigurationError) as by_server:
        read_settings({name: text})
    with pytest.raises(ConfigurationError) as by_provider:
        read_vendor_settings(Env({name: text}))

    assert str(by_provider.value) == str(by_server.value)
    assert f"{name}={text!r}: allowed is" in str(by_provider.value)


def test_the_base_urls_are_those_of_every_vendor() -> None:
    """`base_urls` has the address of each vendor, set or default; the simulator plays the same vendors."""
    settings = read_settings({"ARK_BASE_URL": "http://ark.test/api/v3"})

    assert settings.base_urls == (
        "http://ark.test/api/v3",
        "https://visual.volcengineapi.com",
        "https://api.openai.com/v1",
    )
    assert {NAMES[vendor.base_url] for vendor in VENDORS} == set(BASE_URLS)
    assert set(BASE_URLS) == {field for field in NAMES.values() if field.endswith("_url")} - {
        "mongo_url",
        "public_url",
        "redis_url",
        "results_url",
    }
