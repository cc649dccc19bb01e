"""Settings of the command line: from its options, the environment (``DOVETAIL_*``) and a TOML file, in this order.

The file is the one named, else ``dovetail.toml`` in the working directory, else ``~/.config/dovetail/config.toml``.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, TomlConfigSettingsSource

from dovetail.errors import UsageError
from dovetail.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from pydantic_core import ErrorDetails
    from pydantic_settings import PydanticBaseSettingsSource

__all__ = ["Settings", "load_settings"]

_PREFIX = "DOVETAIL_"
_LIMITS = ("deadline", "max_replans", "max_tasks", "max_parallel_calls", "max_tokens")

# Options whose names are not those of their settings.
_OPTIONS = {"max_parallel_calls": "--max-parallel", "examples": "--example"}

Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What the command line is told. None stands for what is left to Dovetail or to the provider."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    model: str | None = None
    """The model that plans, as ``provider:name``."""
    joiner: str | None = None
    """The model that joins outputs into an answer; the planner's if None."""
    base_url: str | None = None
    """Where the API of the model's server is."""
    api_key: SecretStr | None = None
    timeout: float | None = Field(None, gt=0, allow_inf_nan=False)
    """How many seconds the model's server may be silent."""
    tools: Names = ()
    """SPECs. In the environment separated by commas; in a file, paths are relative to it."""
    examples: Names = ()
    """Files of examples."""
    deadline: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_replans: int | None = Field(None, ge=0, lt=2**31)
    max_tasks: int | None = Field(None, gt=0, lt=2**31)
    max_parallel_calls: int | None = Field(None, gt=0, lt=2**31)
    max_tokens: int | None = Field(None, gt=0, lt=2**63)

    @field_validator("tools", "examples", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """One name, or several separated by commas, as the environment gives them."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    def limits(self) -> Limits:
        """The bounds of a run."""
        given = {name: getattr(self, name) for name in _LIMITS if getattr(self, name) is not None}
        return Limits(**given)


def load_settings(options: Mapping[str, object] | None = None, *, config: str | Path | None = None) -> Settings:
    """Gather the settings; what is None or empty in ``options`` was not given.

    Args:
        options: settings by name, which come before all others.
        config: the TOML file; if None it is looked for.

    Raises:
        UsageError: the file cannot be read, or a setting is unknown or has the wrong type; the message names the file
            and the key, or the environment variable, or the option.
    """
    file = _config_file(config)
    given = {name: value for name, value in (options or {}).items() if value not in (None, (), [])}

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = (init_settings, env_settings)
            return sources if file is None else (*sources, _FileSource(settings_cls, file))

    try:
        return Layered(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UsageError(_explained(error.errors(include_url=False, include_input=False)[0], given, file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the file cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: the file is no TOML: {error}") from error


class _FileSource(TomlConfigSettingsSource):
    """A TOML file, its relative paths read from where it is."""

    def __init__(self, settings: type[BaseSettings], file: Path) -> None:
        self._folder = file.parent
        super().__init__(settings, file)

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        content = super()._read_file(file_path)
        for name in ("tools", "examples"):
            if isinstance(content.get(name), str):
                content[name] = [content[name]]
            if isinstance(content.get(name), list):
                content[name] = [self._from_folder(one, is_file=name == "examples") for one in content[name]]
        return content

    def _from_folder(self, name: object, *, is_file: bool) -> object:
        if not isinstance(name, str):
            return name
        # Of SPECs, only those with a suffix are paths: `tools.py`, `tools.py:search`, `tools.json`.
        is_file = is_file or name.endswith((".py", ".json")) or ".py:" in name
        return str(self._folder / name) if is_file else name


def _config_file(config: str | Path | None) -> Path | None:
    if config is not None:
        # One that is looked for may be missing, one that is named may not.
        if not Path(config).is_file():
            raise UsageError(f"{config}: the file cannot be read: there is no such file")
        return Path(config)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - never raises
    for candidate in (Path("dovetail.toml"), Path(home) / "dovetail" / "config.toml"):
        if candidate.is_file():
            return candidate
    return None


def _explained(error: ErrorDetails, given: Mapping[str, object], file: Path | None) -> str:
    key = str(error["loc"][0]) if error["loc"] else ""
    variable = f"{_PREFIX}{key.upper()}"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, Settings.model_fields, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"settings are {', '.join(Settings.model_fields)}"
        return f"{file}: there is no setting {key!r}; {remedy}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if key in given:
        return f"{_OPTIONS.get(key) or '--' + key.replace('_', '-')}: {message}"
    # On Windows and in the source alike, the case of a variable does not matter.
    if any(name.upper() == variable and value for name, value in os.environ.items()):
        return f"the environment variable {variable}: {message}"
    return f"{file}: {key}: {message}"
