"""The requests of OpenAI's two APIs: Chat Completions, which many servers have, and Responses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dovetail.models.provider_schema import with_unlike_first_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.models.protocol import Grammar

__all__ = ["Requests", "chat_constraint"]

_PLAN_TOOL: Final = "write_plan"
_PLAN_TOOL_DESCRIPTION: Final = "Takes your whole reply, as text."


@dataclass(frozen=True, slots=True)
class Requests:
    """What the requests to one model have in common."""

    model: str
    """The model, as the server knows it."""
    token_limit: str
    """What the server calls the limit of the tokens that are written, in a chat."""
    max_tokens: int | None
    """The limit where a call does not say."""
    temperature: float | None
    reasoning_effort: str | None
    extra_body: Mapping[str, object]
    """Further fields."""

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
        constraint: Mapping[str, object] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, Any]:
        """A request of Chat Completions.

        Args:
            messages: the chat, as the API takes it.
            stop: where the model stops.
            max_tokens: how many tokens it may write.
            constraint: fields that hold the text to a grammar.
            tools: the tools that it may ask for, as the API takes them.
        """
        request: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._sampling(max_tokens, self.token_limit),
        }
        if body := {**self.extra_body, **(constraint or {})}:
            request["extra_body"] = body
        if stop:
            request["stop"] = list(stop)
        if tools:
            request["tools"] = list(tools)
        if self.reasoning_effort is not None:
            request["reasoning_effort"] = self.reasoning_effort
        return request

    def response(
        self, messages: Sequence[Mapping[str, Any]], *, grammar: Grammar | None = None, max_tokens: int | None = None
    ) -> dict[str, Any]:
        """A request of Responses, which keeps nothing at the server.

        A grammar in Lark is the format of a custom tool that the model must call: what it calls the tool with is the
        text. The API knows no ``stop``.

        Args:
            messages: the chat.
            grammar: what the text must follow, in Lark or as a JSON schema.
            max_tokens: how many tokens it may write.
        """
        request: dict[str, Any] = {
            "model": self.model,
            "input": list(messages),
            "stream": True,
            "store": False,
            **self._sampling(max_tokens, "max_output_tokens"),
        }
        if self.extra_body:
            request["extra_body"] = dict(self.extra_body)
        if self.reasoning_effort is not None:
            request["reasoning"] = {"effort": self.reasoning_effort}
        if grammar is not None and grammar.dialect == "json_schema":
            schema = with_unlike_first_keys(json.loads(grammar.text))
            request["text"] = {"format": {"type": "json_schema", "name": "plan", "strict": True, "schema": schema}}
        elif grammar is not None:
            form = {"type": "grammar", "syntax": grammar.dialect, "definition": grammar.text}
            tool = {"type": "custom", "name": _PLAN_TOOL, "description": _PLAN_TOOL_DESCRIPTION, "format": form}
            request["tools"] = [tool]
            request["tool_choice"] = {"type": "custom", "name": _PLAN_TOOL}
            request["parallel_tool_calls"] = False
        return request

    def response_turn(
        self, items: Sequence[Mapping[str, Any]], *, tools: Sequence[Mapping[str, Any]], max_tokens: int | None = None
    ) -> dict[str, Any]:
        """A request of Responses for a turn in which tools may be called, several at a time.

        Args:
            items: the chat, as the API takes it.
            tools: the tools that may be asked for, as the API takes them.
            max_tokens: how many tokens may be written.
        """
        request = self.response(items, max_tokens=max_tokens)
        # What is not kept at the server must come back with the next turn.
        request["include"] = ["reasoning.encrypted_content"]
        if tools:
            request |= {"tools": list(tools), "parallel_tool_calls": True}
        return request

    def _sampling(self, max_tokens: int | None, limit_name: str) -> dict[str, Any]:
        limit = max_tokens if max_tokens is not None else self.max_tokens
        sampling = {"temperature": self.temperature, limit_name: limit}
        return {name: value for name, value in sampling.items() if value is not None}


def chat_constraint(grammar: Grammar) -> dict[str, object]:
    """The fields of a chat's request that hold the text to a grammar.

    A JSON schema goes where OpenAI has it, GBNF where llama.cpp's server does, the others where vLLM does.
    """
    match grammar.dialect:
        case "json_schema":
            schema = {"name": "plan", "strict": True, "schema": with_unlike_first_keys(json.loads(grammar.text))}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case "gbnf":
            return {"grammar": grammar.text}
        case "ebnf" | "lark":
            return {"structured_outputs": {"grammar": grammar.text}}
