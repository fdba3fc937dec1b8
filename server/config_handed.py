"""Settings that one process hands to another, which reads nothing of its own environment."""

from __future__ import annotations

import json
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from server.config import Settings

RUN_DIR = "TANDEM_RUN_DIR"
"""Environment variable by which web processes are told of the run folder. It is no setting."""
SETTINGS_FILE = "settings.json"
"""File in the run folder: the settings of web processes that start from now on."""


class _Handed(Settings):
    """Settings that another process has put together: nothing is read from the environment or a file."""

    model_config = SettingsConfigDict(toml_file=None)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was handed over, as it is."""
        return (init_settings,)


def handed(text: str) -> Settings:
    """Back from `model_dump_json`."""
    return _Handed(**json.loads(text))
