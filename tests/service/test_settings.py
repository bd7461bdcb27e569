import argparse
from pathlib import Path

import pytest

from diffusion_core.settings import add_flags, given_flags
from service.errors import SettingInvalid
from service.settings import Settings, read_settings


def parse(*arguments: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_flags(parser, Settings)
    return read_settings(given_flags(parser.parse_args(arguments), Settings))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "8001", 8001),
        ("host", "0.0.0.0", "0.0.0.0"),
        ("home", "/srv/fewstep", Path("/srv/fewstep")),
        ("device", "cuda:1", "cuda:1"),
        ("models", "a, b,", ("a", "b")),
        ("api_keys", "k1,k2", ("k1", "k2")),
        ("drain_s", "2.5", 2.5),
        ("max_rows", "16", 16),
        ("workers", "0", 0),
        ("redis_url", "redis://host:6379/1", "redis://host:6379/1"),
    ],
)
def test_a_flag_and_a_variable_are_the_same(
    name: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = parse("--" + name.replace("_", "-"), text)
    monkeypatch.setenv(f"FEWSTEP_{name.upper()}", text)
    variable = parse()
    assert getattr(flag, name) == getattr(variable, name) == value
    assert flag == variable


def test_a_flag_goes_before_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSTEP_PORT", "9000")
    assert parse("--port", "8001").port == 8001
    assert parse().port == 9000


@pytest.mark.parametrize(
    ("arguments", "variable", "told"),
    [
        (("--port", "abc"), None, "--port: "),
        (("--port", "70000"), None, "--port: "),
        ((), ("FEWSTEP_QUEUE_ROWS", "0"), "FEWSTEP_QUEUE_ROWS: "),
        (("--workers", "-1"), None, "--workers: "),
        (("--device", "tpu"), None, "--device: must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ((), ("FEWSTEP_LOG_LEVEL", "loud"), "FEWSTEP_LOG_LEVEL: "),
    ],
)
def test_a_bad_setting_is_named_in_one_line(
    arguments: tuple[str, ...],
    variable: tuple[str, str] | None,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable:
        monkeypatch.setenv(*variable)
    with pytest.raises(SettingInvalid) as caught:
        parse(*arguments)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::bad",
        "http://x:99999999/",
        "http://x:0/",
        "http://x:port/",
        "http:///v1/traces",
        "http://:4318/",
        "ftp://x/",
        "x:4318",
        "http://x/ y",
        "http://x/\ty",
        "",
    ],
)
def test_a_collector_that_nothing_can_be_sent_to_is_refused_in_words(url: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        parse("--traces-url", url)
    assert str(caught.value) == (
        "--traces-url: must begin with http:// or https:// and name a host, "
        f"and a port up to 65535 if any, got {url!r}"
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:4318/v1/traces", "https://[::1]/", "http://x"])
def test_a_collector_may_be_any_url(url: str) -> None:
    assert parse("--traces-url", url).traces_url == url


def test_keys_and_passwords_do_not_show() -> None:
    assert "secret" not in repr(parse("--api-keys", "secret"))
    assert "secret" not in repr(parse("--redis-url", "redis://:secret@host"))
    assert "secret" not in repr(parse("--database-url", "postgresql://me:secret@host/x"))
