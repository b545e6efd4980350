"""Settings: argument over environment over file over default, and one clear error for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.errors import InvalidValue
from burnish.settings import Settings, load


def test_an_argument_outranks_environment_file_and_default(tmp_path: Path) -> None:
    file = tmp_path / "burnish.toml"
    file.write_text('[burnish]\nurl = "from-file"\ntenant = "from-file"\nqueue_runs = 5\n', encoding="utf-8")
    environ = {"BURNISH_URL": "from-environment", "BURNISH_TENANT": "from-environment"}
    found = load(overrides={"url": "from-argument", "tenant": None}, environ=environ, file=file)
    assert (found.url, found.tenant, found.queue_runs, found.batch_runs) == (
        "from-argument",
        "from-environment",
        5,
        Settings().batch_runs,
    )


def test_text_from_the_environment_becomes_the_type_of_the_setting(tmp_path: Path) -> None:
    environ = {"BURNISH_STRICT": "true", "BURNISH_FLUSH_SECONDS": "0.5", "BURNISH_QUEUE_RUNS": "7"}
    found = load(environ=environ, file=tmp_path / "none.toml")
    assert (found.strict, found.flush_seconds, found.queue_runs) == (True, 0.5, 7)


@pytest.mark.parametrize(
    ("overrides", "environ", "text", "said"),
    [
        ({"ulr": "x"}, {}, "", "ulr='x' is not valid: there is no such setting; the settings are url"),
        ({}, {"BURNISH_QUEUE_RUNS": "many"}, "", "queue_runs='many' is not valid"),
        ({"flush_seconds": 0}, {}, "", "flush_seconds=0"),
        ({"queue_runs": -1}, {}, "", "give a number above 0"),
        ({}, {}, "[burnish]\nqueue_runs = \n", "write valid TOML"),
        ({}, {}, "[burnish]\ncolour = 1\n", "there is no such setting"),
    ],
)
def test_a_mistake_names_the_setting_and_the_remedy(
    tmp_path: Path, overrides: dict[str, object], environ: dict[str, str], text: str, said: str
) -> None:
    file = tmp_path / "burnish.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidValue) as caught:
        load(overrides=overrides, environ=environ, file=file)
    assert said in str(caught.value)


def test_a_file_of_other_tools_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "burnish.toml"
    file.write_text("[other]\nx = 1\n", encoding="utf-8")
    assert load(environ={}, file=file) == Settings()
