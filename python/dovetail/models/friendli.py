"""The provider ``friendli:``: a model of Friendli's endpoints."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import UsageError
from dovetail.models.openai import OpenAIModel
from dovetail.models.provider_schema import without_friendlis_unknown

if TYPE_CHECKING:
    from dovetail.models.protocol import Grammar, GrammarDialect

__all__ = ["FriendliModel"]

_URL: Final = "https://api.friendli.ai/serverless/v1"


class FriendliModel(OpenAIModel):
    """A model of Friendli's serverless endpoints, or of a dedicated one.

    Args:
        name: the model, or the id of a dedicated endpoint.
        base_url: where the API is: ``https://api.friendli.ai/dedicated/v1`` for a dedicated endpoint; the serverless
            endpoints if None.
        api_key: the token; the environment's ``FRIENDLI_TOKEN`` if None.
        grammar_dialect: as `OpenAIModel`'s; a JSON schema if None.
        settings: further arguments of `OpenAIModel`.

    Raises:
        UsageError: there is no token, the base URL is none, or a number is out of range.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        grammar_dialect: GrammarDialect | None = None,
        **settings: Any,
    ) -> None:
        token = api_key or os.environ.get("FRIENDLI_TOKEN")
        if not token:
            raise UsageError(f"model friendli:{name} needs a token: set FRIENDLI_TOKEN")
        super().__init__(
            name,
            provider="friendli",
            base_url=base_url or _URL,
            api_key=token,
            grammar_dialect=grammar_dialect or "json_schema",
            **settings,
        )

    def _constraint(self, grammar: Grammar) -> dict[str, object]:
        if grammar.dialect == "json_schema":
            known = without_friendlis_unknown(json.loads(grammar.text))
            grammar = replace(grammar, text=json.dumps(known, ensure_ascii=False))
        return super()._constraint(grammar)
