"""The provider ``azure:``: a model deployed at Azure OpenAI."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import openai

from dovetail.errors import UsageError
from dovetail.models.openai import OpenAIModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    import httpx2

    from dovetail.models.protocol import GrammarDialect

    TokenProvider: TypeAlias = Callable[[], str | Awaitable[str]]

__all__ = ["AzureModel"]

_API_VERSION: Final = "2024-10-21"
_NO_KEY: Final = "none"


class AzureModel(OpenAIModel):
    """A model deployed at Azure OpenAI. Exactly one credential is used: what is given here, else a token, else a key.

    Args:
        deployment: the name of the deployment.
        base_url: the endpoint, as ``https://RESOURCE.openai.azure.com``; the environment's ``AZURE_OPENAI_ENDPOINT`` if
            None.
        api_version: the version of the API; the environment's ``OPENAI_API_VERSION``, else 2024-10-21, if None.
        api_key: a key; the environment's ``AZURE_OPENAI_API_KEY`` if there is no credential.
        ad_token: a token of Microsoft Entra ID; the environment's ``AZURE_OPENAI_AD_TOKEN`` if there is no credential.
        ad_token_provider: gives such a token, for each request; it may be a coroutine function.
        api: which API is used. ``auto`` is Chat Completions, and Responses for turns of a deployment that takes tools
            there alone. Responses needs an ``api_version`` that has it: 2025-03-01-preview or later.
        grammar_dialect: as `OpenAIModel`'s; if None a JSON schema, with Responses also a grammar in Lark.
        settings: further arguments of `OpenAIModel`.

    Raises:
        UsageError: there is no endpoint, no credential or more than one, or a number is out of range.
    """

    def __init__(
        self,
        deployment: str,
        *,
        base_url: str | None = None,
        api_version: str | None = None,
        api_key: str | None = None,
        ad_token: str | None = None,
        ad_token_provider: TokenProvider | None = None,
        api: Any = "auto",
        grammar_dialect: GrammarDialect | None = None,
        **settings: Any,
    ) -> None:
        endpoint = base_url or os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise UsageError(
                f"model azure:{deployment} needs its endpoint: set AZURE_OPENAI_ENDPOINT, or give it as the base URL "
                "(https://RESOURCE.openai.azure.com)"
            )
        if sum(1 for credential in (api_key, ad_token, ad_token_provider) if credential) > 1:
            raise UsageError(f"model azure:{deployment} takes one of api_key, ad_token and ad_token_provider")
        if not (api_key or ad_token or ad_token_provider):
            ad_token = os.environ.get("AZURE_OPENAI_AD_TOKEN") or None
            api_key = None if ad_token else os.environ.get("AZURE_OPENAI_API_KEY") or None
        if not (api_key or ad_token or ad_token_provider):
            raise UsageError(
                f"model azure:{deployment} needs a credential: set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"
            )
        self._key = api_key
        self._token = ad_token
        self._token_provider = None if ad_token_provider is None else partial(self._new_token, ad_token_provider)
        self._api_version = api_version or os.environ.get("OPENAI_API_VERSION") or _API_VERSION
        super().__init__(
            deployment,
            provider="azure",
            base_url=endpoint,
            # Kept out of messages; what is sent is given to the SDK below.
            api_key=api_key or ad_token or _NO_KEY,
            api=api,
            token_limit="max_completion_tokens",  # noqa: S106
            grammar_dialect=grammar_dialect or (None if api == "responses" else "json_schema"),
            **settings,
        )
        self._endpoint.server.base_url_form = "https://RESOURCE.openai.azure.com, without a path"

    def _connect(self, http_client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=self._endpoint.address.url,
            api_version=self._api_version,
            api_key=self._key,
            azure_ad_token=self._token,
            azure_ad_token_provider=self._token_provider,
            timeout=self._patience,
            max_retries=self._max_retries,
            http_client=http_client,
        )

    async def _new_token(self, give: TokenProvider) -> str:
        """A token, which no message shows from then on."""
        server = self._endpoint.server
        try:
            given = give()
            token = given if isinstance(given, str) else await given
        except Exception as problem:
            raise server.unidentified(f"{type(problem).__name__}: {problem}") from problem
        if not isinstance(token, str) or not token:
            raise server.unidentified("it gave no token")
        server.conceal(token)
        return token
