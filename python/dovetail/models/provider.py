"""Models by name: ``provider:name``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from dovetail.models.protocol import GrammarDialect, Model

__all__ = ["ModelSettings", "open_beside", "open_model"]

_THEN: Final = re.compile(r"\s*,\s*then\s+")


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

    @property
    def max_in_flight(self) -> int | None:
        """How many requests may be in flight at a model's server."""

    @property
    def grammar_dialect(self) -> GrammarDialect | None:
        """The notation in which the first model's server takes grammars."""


@dataclass(frozen=True, slots=True)
class _Settings:
    owner: str
    """The provider whose servers and keys are meant."""
    own: Mapping[str, Any]
    """What is for its models alone."""
    shared: Mapping[str, Any]
    """What is for all models behind servers."""
    speed: float

    def http(self, provider: str) -> dict[str, Any]:
        """What a model behind a server of a provider is given."""
        given = {**self.shared, **(self.own if provider == self.owner else {})}
        return {name: value for name, value in given.items() if value is not None}


def open_model(
    spec: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    api: Literal["auto", "chat", "responses"] | None = None,
    timeout: float | None = None,
    max_retries: int | None = None,
    max_in_flight: int | None = None,
    temperature: float | None = None,
    reasoning_effort: str | None = None,
    max_tokens: int | None = None,
    extra_body: Mapping[str, object] | None = None,
    grammar_dialect: GrammarDialect | None = None,
    speed: float = 1.0,
) -> Model:
    """Open a model by its name. What is None is left to the provider (see ``docs/models.md``).

    Args:
        spec: ``openai:NAME``, ``azure:DEPLOYMENT``, ``friendli:NAME``, ``vllm:NAME``, ``vllm-engine:FOLDER``,
            ``replay:FILE``, ``local:`` or ``local:FILE.gguf``; or several of them, the next for where one fails:
            ``openai:NAME, then vllm:NAME``.
        base_url: where the server's API is. Like all but ``speed`` for the providers with a server only; and in a
            chain, like `api_key`, ``api``, ``extra_body`` and ``grammar_dialect``, for those of the first's provider.
        api_key: the key.
        api: which API is used.
        timeout: how many seconds the server may be silent.
        max_retries: how often a request is sent again.
        max_in_flight: how many requests may be in flight at one server.
        temperature: the sampling temperature.
        reasoning_effort: how much a reasoning model reasons.
        max_tokens: how many tokens a call may write where it does not say.
        extra_body: further fields of the request.
        grammar_dialect: the notation in which the server takes grammars.
        speed: how fast a recording is played; 0 is without any wait.

    Raises:
        UsageError: there is no such provider, or it cannot be used with these settings.
    """
    own = {
        "base_url": base_url,
        "api_key": api_key,
        "api": api,
        "extra_body": extra_body,
        "grammar_dialect": grammar_dialect,
    }
    shared = {
        "timeout": timeout,
        "max_retries": max_retries,
        "max_in_flight": max_in_flight,
        "temperature": temperature,
        "reasoning_effort": reasoning_effort,
        "max_tokens": max_tokens,
    }
    return _open_chain(spec, _Settings(_provider(spec), own, shared, speed))


def open_beside(name: str, first: str, settings: ModelSettings) -> Model:
    """Open a model of the settings: where its server is and the key are those of the first model's provider alone.

    Args:
        name: the model.
        first: the model that the settings' ``base_url`` and ``api_key`` are for.
        settings: the settings.

    Raises:
        UsageError: there is no such provider, or it cannot be used with these settings.
    """
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    own = {"base_url": settings.base_url, "api_key": key, "grammar_dialect": settings.grammar_dialect}
    shared = {"timeout": settings.timeout, "max_in_flight": settings.max_in_flight}
    return _open_chain(name, _Settings(_provider(first), own, shared, 1.0))


def _open_chain(spec: str, settings: _Settings) -> Model:
    models = [_open_one(member, settings) for member in _THEN.split(spec)]
    if len(models) == 1:
        return models[0]
    from dovetail.models.fallback import FallbackModel

    return FallbackModel(models)


def _open_one(spec: str, settings: _Settings) -> Model:
    provider, colon, name = spec.partition(":")
    opened = _PROVIDERS.get(provider)
    if opened is None or not colon:
        known = ", ".join(f"{known}:" for known in _PROVIDERS)
        raise UsageError(f"model {spec!r} has no known provider; a model is provider:name, providers are {known}")
    if not name and provider != "local":
        raise UsageError(f"model {spec!r} lacks what follows the colon")
    return opened(name, settings)


def _provider(spec: str) -> str:
    return spec.partition(":")[0]


def _openai(name: str, settings: _Settings) -> Model:
    from dovetail.models.openai import OpenAIModel

    return OpenAIModel(name, **settings.http("openai"))


def _azure(name: str, settings: _Settings) -> Model:
    from dovetail.models.azure import AzureModel

    return AzureModel(name, **settings.http("azure"))


def _friendli(name: str, settings: _Settings) -> Model:
    from dovetail.models.friendli import FriendliModel

    return FriendliModel(name, **settings.http("friendli"))


def _vllm(name: str, settings: _Settings) -> Model:
    from dovetail.models.vllm import VllmModel

    return VllmModel(name, **settings.http("vllm"))


def _vllm_engine(name: str, settings: _Settings) -> Model:
    from dovetail.models.vllm_engine_turns import open_engine

    return open_engine(
        name, temperature=settings.shared.get("temperature"), max_tokens=settings.shared.get("max_tokens")
    )


def _replay(name: str, settings: _Settings) -> Model:
    from dovetail.models.replay import ReplayModel

    return ReplayModel.from_file(name, speed=settings.speed)


def _local(name: str, settings: _Settings) -> Model:
    from dovetail.models.local import open_local

    return open_local(name or None, temperature=settings.shared.get("temperature") or 0.0)


_PROVIDERS: dict[str, Callable[[str, _Settings], Model]] = {
    "openai": _openai,
    "azure": _azure,
    "friendli": _friendli,
    "vllm": _vllm,
    "vllm-engine": _vllm_engine,
    "replay": _replay,
    "local": _local,
}
