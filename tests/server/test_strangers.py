"""Whether a server that anybody on the network may call says so at its start."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.server.run import listen
from embedstack.server.strangers import warn_of_strangers
from embedstack.settings import PROFILES, Settings, read_settings
from support.commands import process, settings_only

OPEN = Settings(host="0.0.0.0")
KEY = "alice:a-secret-of-some-length"


def said(caplog: pytest.LogCaptureFixture, settings: Settings, *, is_guarded: bool = False) -> list[str]:
    with caplog.at_level(logging.WARNING, "embedstack.server"), listen(settings.host, 0) as listener:
        warn_of_strangers(settings, listener.getsockname()[0], is_guarded=is_guarded)
    return [record.getMessage() for record in caplog.records]


def test_an_address_of_the_network_without_keys_is_told_in_one_line_with_both_ways_out(caplog):
    lines = said(caplog, OPEN)

    assert len(lines) == 1
    assert lines[0].startswith("event=no_keys host=0.0.0.0 ")
    assert "EMBEDSTACK_API_KEYS" in lines[0]
    assert "--host" in lines[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_a_server_that_only_this_machine_reaches_says_nothing(caplog, host):
    assert said(caplog, Settings(host=host)) == []


@pytest.mark.parametrize(("address", "count"), [("::1", 0), ("::", 1), ("fe80::1%eth0", 1), ("192.168.1.7", 1)])
def test_addresses_of_both_kinds_are_known(caplog, address, count):
    warn_of_strangers(Settings(host=address), address, is_guarded=False)

    assert len(caplog.records) == count


@pytest.mark.parametrize("source", [{"api_keys": KEY}, {"api_keys_file": "keys"}])
def test_a_server_with_keys_says_nothing(caplog, source):
    assert said(caplog, replace(OPEN, **source)) == []


def test_the_admins_key_keeps_no_caller_out(caplog):
    assert len(said(caplog, replace(OPEN, admin_key="a-secret-of-some-length"))) == 1


@pytest.mark.parametrize(("profile", "count"), [("model-worker", 1), ("runpod-local", 1), ("runpod", 0)])
def test_a_profile_that_opens_the_server_is_told_unless_its_platform_asks_for_keys(caplog, profile, count):
    settings = read_settings(environ={}, profile=profile)

    assert len(said(caplog, settings, is_guarded=PROFILES[profile].is_guarded)) == count


@pytest.mark.slow
def test_the_command_says_it_before_it_loads_a_model(tmp_path: Path):
    environment = settings_only(EMBEDSTACK_PORT="0", EMBEDSTACK_CACHE_DIR=str(tmp_path))
    done = process("serve", "--profile", "model-worker", "--models", "bge-m4", cwd=tmp_path, env=environment)

    assert done.stderr.decode().count("event=no_keys host=0.0.0.0") == 1
