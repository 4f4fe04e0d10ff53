"""The operator's settings: each is one environment variable."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from penstock.settings import Settings

GIVEN: dict[str, tuple[str, Any]] = {
    "namespace": ("operators", "operators"),
    "image": ("registry.example/penstock:1", "registry.example/penstock:1"),
    "identity": ("penstock-7c9d", "penstock-7c9d"),
    "flink_image": ("registry.example/flink:2.3", "registry.example/flink:2.3"),
    "watch_namespaces": ("flights, trains ,,", ("flights", "trains")),
    "workers": ("3", 3),
    "lease_seconds": ("30", 30),
    "orphans_seconds": ("60", 60),
    "probe_port": ("9090", 9090),
    "flink_address": ("http://localhost:{host}", "http://localhost:{host}"),
    "log_level": ("debug", "DEBUG"),
}


def test_every_setting_has_a_line_here() -> None:
    assert set(GIVEN) == set(Settings.__dataclass_fields__)


@pytest.mark.parametrize("name", GIVEN)
def test_each_variable_sets_its_own_field_and_no_other(name: str) -> None:
    text, value = GIVEN[name]
    found = Settings.from_environment({f"PENSTOCK_{name.upper()}": text})
    changed = {each for each in GIVEN if getattr(found, each) != getattr(Settings(), each)}
    assert changed == {name}
    assert getattr(found, name) == value


def test_without_variables_it_is_the_defaults() -> None:
    assert Settings.from_environment({"PATH": "/bin", "PENSTOCK": "x"}) == Settings()
    assert Settings().identity == socket.gethostname()
    assert Settings().watch_namespaces == ()


@pytest.mark.parametrize("name", GIVEN)
def test_an_empty_variable_is_none(name: str) -> None:
    """A chart writes the variable with an empty value where nothing is set."""
    assert Settings.from_environment({f"PENSTOCK_{name.upper()}": ""}) == Settings()


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "four", " 4", "²"])
@pytest.mark.parametrize("name", ["workers", "lease_seconds", "orphans_seconds", "probe_port"])
def test_a_bad_number_names_its_variable(name: str, value: str) -> None:
    variable = f"PENSTOCK_{name.upper()}"
    with pytest.raises(ValueError, match=f"^{variable} must be a whole number of at least 1"):
        Settings.from_environment({variable: value})


def test_a_level_that_there_is_not_names_its_variable() -> None:
    with pytest.raises(ValueError, match=r"^PENSTOCK_LOG_LEVEL must be .* not 'LOUD'"):
        Settings.from_environment({"PENSTOCK_LOG_LEVEL": "LOUD"})


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_WORKERS", "2")
    assert Settings.from_environment().workers == 2


def test_the_flink_image_is_that_of_its_version() -> None:
    assert Settings(flink_image="mine:2.3").flink_images == {"2.3": "mine:2.3"}
