"""Settings: the environment over tandem.toml over what is built in; anything else refuses to start."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from server import config
from server.config import ConfigError, Settings, load
from server.config_handed import handed
from server.machine.cgroup import granted_cores


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to start in, and no setting."""
    for name in [n for n in os.environ if n.upper().startswith(config.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load()
    return str(error.value)


def toml(text: str) -> None:
    Path(config.TOML_FILE).write_text(text)


def test_nothing_need_be_set() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 8000, 9464)
    assert (settings.r_workers, settings.web_workers, settings.docs, settings.timeout_s) == (5, 1, "open", 30)
    assert (settings.data, settings.r_models) == (Path(".tandem"), Path("r_models"))
    assert (settings.queue_max, settings.batch_max_rows, settings.max_body_mb) == (1024, 1024, 64)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_environment_goes_before_the_file_and_the_file_before_what_is_built_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toml('port = 1\nhost = "file"\n')
    monkeypatch.setenv("TANDEM_PORT", "2")
    settings = load()
    assert (settings.port, settings.host, settings.docs) == (2, "file", "login")


@pytest.mark.parametrize("name", ["TANDEM_PROT", "TANDEM_", "TANDEM_RUN_DIR", "TANDEM_port_"])
def test_an_unknown_name_is_refused_with_those_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    told = refused(monkeypatch, name, "1")
    assert told.startswith(f"unknown setting {name}; known are TANDEM_HOST, TANDEM_PORT, ")


def test_other_programs_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEMLY", "1")
    monkeypatch.setenv("PORT", "1")
    assert load().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", ""),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("R_WORKERS", "0"),
        ("WEB_WORKERS", "0"),
        ("DOCS", "maybe"),
        ("TIMEOUT_S", "0"),
        ("TIMEOUT_S", "nan"),
        ("TIMEOUT_S", "inf"),
        ("SETTLE_S", "nan"),
        ("MAX_BODY_MB", "nan"),
        ("QUEUE_MAX", "1.5"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_meaning(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    told = refused(monkeypatch, config.PREFIX + name, value)
    assert told.startswith(f"TANDEM_{name} ({Settings.model_fields[name.lower()].description}): ")


def test_an_unknown_key_in_the_file_is_refused() -> None:
    toml("prot = 1\n")
    with pytest.raises(ConfigError, match=re.escape("TANDEM_PROT: ")):
        load()


def test_a_bad_value_in_the_file_is_refused() -> None:
    toml('port = "eighty"\n')
    with pytest.raises(ConfigError, match=re.escape("TANDEM_PORT (port of the API): ")):
        load()


@pytest.mark.parametrize("content", [b"port = ", b"\xff", b"[[[", b"port = 1\nport = 2\n"])
def test_a_file_that_is_not_toml_is_refused(content: bytes) -> None:
    Path(config.TOML_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(config.TOML_FILE)):
        load()


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_a_web_process_has_the_settings_that_it_is_handed_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    toml('port = 1\ntimeout_s = 0.1\nr_models = "some where"\nlog_level = "DEBUG"\n')
    settings = load()
    text = settings.model_dump_json()
    toml("port = nonsense\n")
    monkeypatch.setenv("TANDEM_PORT", "nonsense")
    assert handed(text).model_dump() == settings.model_dump()


def test_a_frame_holds_the_largest_body_with_room_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MAX_BODY_MB", "0.5")
    settings = load()
    assert settings.max_body_bytes == 1 << 19
    assert settings.max_payload_bytes > 4 * settings.max_body_bytes


def test_granted_cores_are_at_least_one_and_at_most_those_the_process_may_use() -> None:
    assert 1 <= granted_cores() <= len(os.sched_getaffinity(0))


def test_granted_cores_follow_the_affinity_of_the_process() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert granted_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


SHARED = {"TANDEM_ACCOUNTS": "accounts", "TANDEM_TOKEN_KEY": "token.key"}


@pytest.mark.parametrize(
    "remotes",
    [
        *("gpu", "gpu=tandem-gpu", "gpu=ftp://a", "Gpu=http://a"),
        *("gpu=http://a/v1", "gpu=http://u:p@a", "a=http://a,a=http://b"),
    ],
)
def test_a_remote_is_a_name_and_the_address_of_a_server(monkeypatch: pytest.MonkeyPatch, remotes: str) -> None:
    for name, value in SHARED.items():
        monkeypatch.setenv(name, value)
    assert "TANDEM_REMOTES" in refused(monkeypatch, "TANDEM_REMOTES", remotes)


def test_remotes_are_read_by_name_and_need_shared_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    remotes = "gpu=http://tandem-gpu/, eu=https://eu.example.com:8443"
    assert "TANDEM_ACCOUNTS" in refused(monkeypatch, "TANDEM_REMOTES", remotes)
    for name, value in SHARED.items():
        monkeypatch.setenv(name, value)
    assert load().remote_urls == {"gpu": "http://tandem-gpu", "eu": "https://eu.example.com:8443"}


def test_basic_does_not_take_passwords_that_are_taken_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_BASIC", "passwords")
    assert "TANDEM_PASSWORDS=off" in refused(monkeypatch, "TANDEM_PASSWORDS", "off")


def test_pools_by_signature_need_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TANDEM_MODEL_SIGNATURES" in refused(monkeypatch, "TANDEM_POOLS", "signed")
    assert "'model'" in refused(monkeypatch, "TANDEM_POOLS", "each")


def test_a_trusted_proxy_is_an_address_or_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TANDEM_TRUSTED_PROXIES" in refused(monkeypatch, "TANDEM_TRUSTED_PROXIES", "the gateway")
    monkeypatch.setenv("TANDEM_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    assert load().trusted_networks == ["10.0.0.0/8", "::1"]


@pytest.mark.parametrize(
    ("said", "docs"),
    [
        ({}, "open"),
        ({"host": "::1"}, "open"),
        ({"host": "0.0.0.0"}, "login"),
        ({"host": "10.0.0.7", "docs": "open"}, "open"),
        ({"host": "0.0.0.0", "docs": "off"}, "off"),
    ],
)
def test_the_documentation_asks_for_a_token_where_others_reach_the_server(said: dict[str, str], docs: str) -> None:
    settings = Settings.model_validate(said)
    assert settings.docs == docs
    assert handed(settings.model_dump_json()).docs == docs


def test_where_the_sandbox_is_required_no_package_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_SANDBOX", "require")
    assert load().requirements == "wheels"
    told = refused(monkeypatch, "TANDEM_REQUIREMENTS", "any")
    assert "where TANDEM_SANDBOX=require, set wheels or off" in told
    monkeypatch.setenv("TANDEM_SANDBOX", "on")
    assert load().requirements == "any"


def test_accounts_are_kept_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ACCOUNTS", "accounts")
    assert "set one of them" in refused(monkeypatch, "TANDEM_DATABASE", "postgresql://tandem@localhost/tandem")
