"""Tool calls of a model in vLLM's engine: as `vllm serve` reads them in what the model says, without the server."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from dovetail._core import SseDecoder
from dovetail.errors import ModelError, UsageError
from dovetail.models.openai_stream import take_requests
from dovetail.models.protocol import Completion, ToolRequest, Usage
from dovetail.models.tool_calling import ToolNames, chat_messages, chat_tools
from dovetail.models.vllm_engine import VllmEngineModel
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.models.protocol import TurnMessage, TurnStream

__all__ = ["VllmEngineCallingModel", "open_engine"]

_NAMED: Final = re.compile(r"""^(tool[-_](?:call[-_]parser|strict[-_]level))\s*:\s*["']?([\w-]+)""", re.MULTILINE)


class VllmEngineCallingModel(VllmEngineModel):
    """A model in vLLM's engine, with tool calls of its own.

    Args:
        target: as for `VllmEngineModel`.
        tool_call_parser: what reads tool calls in what the model says: vLLM's name for it (``hermes``), as
            ``--tool-call-parser`` of `vllm serve`.
        tool_strict_level: what a call is held to: ``auto``, nothing; ``function``, its form; ``parameter``, the tool's
            schema too. All but ``auto`` needs the backend xgrammar.
        settings: further arguments of `VllmEngineModel`.

    Raises:
        UsageError: as `VllmEngineModel` does.
    """

    _tool_choice = "auto"

    def __init__(self, target: str, *, tool_call_parser: str, tool_strict_level: str = "auto", **settings: Any) -> None:
        super().__init__(target, **settings)
        self._tool_call_parser = tool_call_parser
        self._tool_strict_level = tool_strict_level

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> TurnStream:
        """Take one turn (see `dovetail.models.ToolCallingModel.stream_turn`). Closing the stream ends generation.

        Raises:
            ModelError: as `stream` does; or vLLM cannot hold the model to these tools (``MODEL_REJECTED``).
            UsageError: vLLM has no such parser, the model is closed, or it belongs to another event loop.
        """
        names = ToolNames([tool["name"] for tool in tools])
        engine = await self._engine()
        chat, offered = chat_messages(messages, names), chat_tools(tools, names)
        parser, request = self._parser(engine, chat, offered)
        prompt = self._prompt(engine, [_for_template(message) for message in chat], offered)
        parameters = self._sampling(engine, len(prompt), max_tokens)
        parameters.structured_outputs = request.structured_outputs
        parameters.skip_special_tokens = request.skip_special_tokens
        written = cached = 0
        finish_reason: str | None = None
        decoder = SseDecoder()
        async with aclosing(self._outputs(engine, prompt, parameters, has_grammar=False)) as outputs:
            async for output in outputs:
                piece = output.outputs[0]
                written += len(piece.token_ids)
                cached = output.num_cached_tokens or 0
                finish_reason = piece.finish_reason
                delta = parser.parse_delta(
                    piece.text, list(piece.token_ids), request, prompt, finished=finish_reason is not None
                )
                # What the server would send, read by what reads its stream.
                if text := decoder.feed(_chunk(delta, finish_reason)):
                    yield text
                for asked in take_requests(decoder):
                    yield _own(asked, names)
        decoder.finish()
        for asked in take_requests(decoder):
            yield _own(asked, names)
        has_called = finish_reason == "stop" and bool(decoder.tool_calls)
        yield Completion("tool_calls" if has_called else finish_reason, Usage(len(prompt), written, cached))

    def _parser(
        self, engine: Any, chat: Sequence[Mapping[str, Any]], offered: Sequence[Mapping[str, Any]]
    ) -> tuple[Any, Any]:
        """What reads the turn, and the turn as a request of vLLM's server, which it needs to know."""
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.parser import ParserManager

        tokenizer = engine.get_tokenizer()
        try:
            kind = ParserManager.get_parser(
                tool_parser_name=self._tool_call_parser,
                enable_auto_tools=True,
                model_name=self._target,
                tool_strict_level=self._tool_strict_level,
            )
        except (KeyError, TypeError, ValueError) as problem:
            message = f"model {self.name}: vLLM has no parser {self._tool_call_parser!r} of tool calls: {problem}"
            raise UsageError(message) from problem
        fields: dict[str, Any] = {"model": self._target, "messages": list(chat), "stream": True}
        if offered:
            fields |= {"tools": list(offered), "tool_choice": self._tool_choice}
        try:
            request = ChatCompletionRequest.model_validate(fields)
            parser = kind(tokenizer, request.tools, model_config=engine.model_config)
            return parser, parser.adjust_request(request) if offered else request
        except ValueError as problem:
            message = f"vLLM does not take these tools for model {self.name}: {problem}"
            raise ModelError(FailureReason.FAILURE_REASON_MODEL_REJECTED, message) from problem


def open_engine(target: str, *, temperature: float | None, max_tokens: int | None) -> VllmEngineModel:
    """A model in vLLM's engine; with tool calls of its own, if the target is a file that names their parser.

    Raises:
        UsageError: as `VllmEngineModel` does.
    """
    plain = VllmEngineModel(target, temperature=temperature, max_tokens=max_tokens)
    if plain.config is None:
        return plain
    text = plain.config.read_text(encoding="utf-8", errors="replace")
    named = {name.replace("-", "_"): value for name, value in _NAMED.findall(text)}
    if "tool_call_parser" not in named:
        return plain
    return VllmEngineCallingModel(target, **named, temperature=temperature, max_tokens=max_tokens)


def _for_template(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as templates of chats have it: arguments are objects there, and no content is an empty one."""
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message.get("tool_calls", ())
    ]
    return {**message, "content": message["content"] or "", **({"tool_calls": calls} if calls else {})}


def _chunk(delta: Any, finish_reason: str | None) -> bytes:
    said = {} if delta is None else delta.model_dump(mode="json", exclude_unset=True)
    choice = {"index": 0, "delta": said, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def _own(request: ToolRequest, names: ToolNames) -> ToolRequest:
    return ToolRequest(request.id, names.own(request.name), request.arguments_json)
