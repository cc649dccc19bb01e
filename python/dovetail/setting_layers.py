"""Settings in layers: options, then the environment (``DOVETAIL_*``), then a TOML file.

The file is the one named, else ``dovetail.toml`` in the working directory, else ``~/.config/dovetail/config.toml``.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, TomlConfigSettingsSource

from dovetail.errors import UsageError
from dovetail.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable
    from typing import Self

    from pydantic_core import ErrorDetails
    from pydantic_settings import PydanticBaseSettingsSource

__all__ = ["LayeredSettings", "Names", "split_models", "split_names"]

_PREFIX = "DOVETAIL_"

# Of SPECs, only those with a suffix are paths: `tools.py`, `tools.py:search`, `tools.json`, `servers.toml`.
_SPECS = "tools"

_TABLES = frozenset({"mcp", "serve"})
"""The parts of the file that are no settings, or settings of their own; the others stand at its beginning."""

Names = Annotated[tuple[str, ...], NoDecode]
"""Several names: repeated as an option, separated by commas in the environment, a list in a file."""


class LayeredSettings(BaseSettings):
    """Settings that `load` gathers. One that is made directly holds what it is given and the defaults."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    table: ClassVar[str | None] = None
    """The table of the file that holds them; None for its beginning."""
    files: ClassVar[frozenset[str]] = frozenset()
    """The settings that are paths: in a file, they are relative to it."""
    options: ClassVar[Mapping[str, str]] = {}
    """The options whose names are not those of their settings."""

    @classmethod
    def load(cls, given: Mapping[str, object] | None = None, *, config: str | Path | None = None) -> Self:
        """Gather the settings; what is None or empty in ``given`` was not given.

        Args:
            given: settings by name, which come before all others.
            config: the TOML file; if None it is looked for.

        Raises:
            UsageError: the file cannot be read, or a setting is unknown or has the wrong type; the message names the
                file and the key, or the environment variable, or the option.
        """
        file = _config_file(config)
        given = {name: value for name, value in (given or {}).items() if value not in (None, (), [])}

        class Layered(cls):  # type: ignore[valid-type, misc]
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
                return sources if file is None else (*sources, _FileSource(settings_cls, file, cls.table, cls.files))

        try:
            return Layered(**given)
        except ValidationError as error:
            raise UsageError(
                cls._explained(error.errors(include_url=False, include_input=False)[0], given, file)
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given, unless `load` adds to it."""
        return (init_settings,)

    @classmethod
    def option(cls, name: str) -> str:
        """The option of a setting: ``--max-tasks``."""
        return cls.options.get(name) or f"--{name.replace('_', '-')}"

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a setting: ``DOVETAIL_MAX_TASKS``."""
        return f"{_PREFIX}{name.upper()}"

    @classmethod
    def _explained(cls, error: ErrorDetails, given: Mapping[str, object], file: Path | None) -> str:
        key = str(error["loc"][0]) if error["loc"] else ""
        in_file = f"{cls.table}.{key}" if cls.table else key
        if error["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, cls.model_fields, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"settings are {', '.join(cls.model_fields)}"
            return f"{file}: there is no setting {in_file!r}; {remedy}"
        message = error["msg"].removeprefix("Value error, ")
        if not key:
            return message
        message = message[:1].lower() + message[1:]
        if key in given:
            return f"{cls.option(key)}: {message}"
        # On Windows and in the source alike, the case of a variable does not matter.
        variable = cls.variable(key)
        if any(name.upper() == variable and value for name, value in os.environ.items()):
            return f"the environment variable {variable}: {message}"
        return f"{file}: {in_file}: {message}"


def split_names(value: object) -> object:
    """One name, or several separated by commas, as the environment gives them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def split_models(value: object) -> object:
    """One model, or several separated by commas; a comma before ``then`` goes on with a chain of models."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in re.split(r",(?!\s*then\s)", value) if part.strip()]


class _FileSource(TomlConfigSettingsSource):
    """A TOML file, its relative paths read from where it is."""

    def __init__(self, settings: type[BaseSettings], file: Path, table: str | None, files: frozenset[str]) -> None:
        self._folder = file.parent
        self._table = table
        self._files = files
        super().__init__(settings, file)

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        content = read_toml(str(file_path))
        if self._table is None:
            content = {name: value for name, value in content.items() if name not in _TABLES}
        else:
            content = content.get(self._table, {})
            if not isinstance(content, dict):
                raise UsageError(f"{file_path}: {self._table} is no table; begin it with [{self._table}]")
        for name in (_SPECS, *self._files):
            if name not in content:
                continue
            value = content[name]
            if isinstance(value, list):
                content[name] = [self._from_folder(one, is_file=name != _SPECS) for one in value]
            else:
                content[name] = self._from_folder(value, is_file=name != _SPECS)
        return content

    def _from_folder(self, name: object, *, is_file: bool) -> object:
        if not isinstance(name, str):
            return name
        if is_file:
            return str(self._folder / name)
        namespace, equals, spec = name.rpartition("=")
        is_path = (spec.endswith((".py", ".json", ".toml")) or ".py:" in spec) and "mcp:" not in name
        return f"{namespace}{equals}{self._folder / spec}" if is_path else name


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
