"""Models by name: ``provider:name``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from dovetail.models.protocol import GrammarDialect, Model

__all__ = ["ModelSettings", "open_beside", "open_model"]


class ModelSettings(Protocol):
    """What settings say of models; those of the command line and of the server do."""

    @property
    def base_url(self) -> str | None:
        """Where the API of the first model's server is."""

    @property
    def api_key(self) -> SecretStr | None:
        """The key for the first model's provider."""

    @property
    def timeout(self) -> float | None:
        """How many seconds a model's server may be silent."""


@dataclass(frozen=True, slots=True)
class _Settings:
    http: Mapping[str, Any]
    speed: float


def open_model(
    spec: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    timeout: float | None = None,
    max_retries: int | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    extra_body: Mapping[str, object] | None = None,
    grammar_dialect: GrammarDialect | None = None,
    speed: float = 1.0,
) -> Model:
    """Open a model by its name. What is None is left to the provider (see ``docs/models.md``).

    Args:
        spec: ``openai:NAME``, ``vllm:NAME``, ``replay:FILE``, ``local:`` or ``local:FILE.gguf``.
        base_url: where the server's API is; like all but ``speed`` for the providers with a server only.
        api_key: the key.
        timeout: how many seconds the server may be silent.
        max_retries: how often a request is sent again.
        temperature: the sampling temperature.
        max_tokens: how many tokens a call may write where it does not say.
        extra_body: further fields of the request.
        grammar_dialect: the notation in which the server takes grammars.
        speed: how fast a recording is played; 0 is without any wait.

    Raises:
        UsageError: there is no such provider, or it cannot be used with these settings.
    """
    provider, colon, name = spec.partition(":")
    opened = _PROVIDERS.get(provider)
    if opened is None or not colon:
        known = ", ".join(f"{known}:" for known in _PROVIDERS)
        raise UsageError(f"model {spec!r} has no known provider; a model is provider:name, providers are {known}")
    if not name and provider != "local":
        raise UsageError(f"model {spec!r} lacks what follows the colon")
    http = {
        "base_url": base_url,
        "api_key": api_key,
        "timeout": timeout,
        "max_retries": max_retries,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "extra_body": extra_body,
        "grammar_dialect": grammar_dialect,
    }
    return opened(name, _Settings({key: value for key, value in http.items() if value is not None}, speed))


def open_beside(name: str, first: str, settings: ModelSettings) -> Model:
    """Open a model of the settings: where its server is and the key are those of the first model's provider alone.

    Args:
        name: the model.
        first: the model that the settings' ``base_url`` and ``api_key`` are for.
        settings: the settings.

    Raises:
        UsageError: there is no such provider, or it cannot be used with these settings.
    """
    is_its = name.partition(":")[0] == first.partition(":")[0]
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    return open_model(
        name,
        base_url=settings.base_url if is_its else None,
        api_key=key if is_its else None,
        timeout=settings.timeout,
    )


def _openai(name: str, settings: _Settings) -> Model:
    from dovetail.models.openai import OpenAIModel

    return OpenAIModel(name, **settings.http)


def _vllm(name: str, settings: _Settings) -> Model:
    from dovetail.models.vllm import VllmModel

    return VllmModel(name, **settings.http)


def _replay(name: str, settings: _Settings) -> Model:
    from dovetail.models.replay import ReplayModel

    return ReplayModel.from_file(name, speed=settings.speed)


def _local(name: str, settings: _Settings) -> Model:  # noqa: ARG001
    from dovetail.models.local import LocalModel

    return LocalModel(name or None)


_PROVIDERS: dict[str, Callable[[str, _Settings], Model]] = {
    "openai": _openai,
    "vllm": _vllm,
    "replay": _replay,
    "local": _local,
}
