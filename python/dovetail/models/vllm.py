"""The provider ``vllm:``: a model behind `vllm serve`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from dovetail.models.openai import OpenAIModel

if TYPE_CHECKING:
    from dovetail.models.protocol import Grammar, GrammarDialect

__all__ = ["VLLM_DIALECTS", "VllmModel", "structured_outputs"]

VLLM_DIALECTS: Final[tuple[GrammarDialect, ...]] = ("ebnf", "json_schema")
"""The notations that all of vLLM's structured output engines take, the best first."""

_URL: Final = "http://localhost:8000/v1"
_NO_KEY: Final = "none"


class VllmModel(OpenAIModel):
    """A model behind `vllm serve`: OpenAI's chat API, with grammars in a field of vLLM's own.

    Args:
        name: the model, as the server knows it (``--served-model-name``).
        base_url: where the API is; ``http://localhost:8000/v1`` if None.
        api_key: the key; the environment's ``VLLM_API_KEY`` if None. OpenAI's is never sent.
        grammar_dialect: the one notation in which grammars are sent; `VLLM_DIALECTS` if None. A server on guidance also
            takes ``lark``.
        settings: further arguments of `OpenAIModel`.

    Raises:
        UsageError: the base URL is none, or a number is out of range.
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
        super().__init__(
            name,
            provider="vllm",
            base_url=base_url or _URL,
            # OpenAI's key is none of this server's business.
            api_key=api_key or os.environ.get("VLLM_API_KEY") or _NO_KEY,
            grammar_dialect=grammar_dialect or VLLM_DIALECTS[0],
            **settings,
        )
        if grammar_dialect is None:
            self._grammar_apis = dict.fromkeys(VLLM_DIALECTS, "chat")

    def _constraint(self, grammar: Grammar) -> dict[str, object]:
        # vLLM ignores the fields of other servers, and its own of old (`guided_grammar`), without a word.
        return {"structured_outputs": structured_outputs(grammar)}


def structured_outputs(grammar: Grammar) -> dict[str, Any]:
    """A grammar as vLLM takes it: the fields of its ``StructuredOutputsParams``."""
    if grammar.dialect == "json_schema":
        return {"json": json.loads(grammar.text)}
    return {"grammar": grammar.text}
