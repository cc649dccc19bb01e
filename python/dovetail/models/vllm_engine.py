"""The provider ``vllm-engine:``: vLLM inside this process, without a server."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import os
import threading
import uuid
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import ModelError, UsageError
from dovetail.models.protocol import Completion, Usage
from dovetail.models.vllm import VLLM_DIALECTS, structured_outputs
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from dovetail.models.protocol import Grammar, GrammarDialect, Message, ModelStream

__all__ = ["VllmEngineModel"]

_GET_ENGINE: Final = "pip install 'dovetail[vllm]'"
_CONFIGS: Final = {".yaml", ".yml"}
# vLLM's own choice, said aloud: guidance reads the grammar of a plan as one regular expression, and takes 15 times as
# long for a token. Where a JSON schema leaves white space to a small model, it writes nothing else any more.
_STRUCTURED_OUTPUTS: Final = {"backend": "xgrammar", "disable_any_whitespace": True}
# What a file for `vllm serve` says of messages; the engine itself knows none.
_OF_THE_SERVER: Final = ("--chat-template", "--tool-call-parser", "--tool-strict-level")
# What does not end by itself is killed then. That has to come before a command loses patience with what it closes, five
# seconds after its run: its engine would be left behind, and the next one would find no memory on the GPU.
_END_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.2
# vLLM would report its use over the network, and write its log to standard output, where answers are written.
_ENVIRONMENT: Final = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_LOGGING_LEVEL": "WARNING",
}

# Which processes belong to an engine that is being started is known because no other one is.
_one_start = threading.Lock()


class VllmEngineModel:
    """A model in vLLM's engine, which this process starts with the first stream and ends with `aclose`.

    All streams are written together (continuous batching) and share a cache of prompts. The engine belongs to the event
    loop of its first stream. If it dies, the streams in flight fail and the next one starts another.

    Args:
        target: a folder with weights as Hugging Face lays them out, the name of a model there, or a file of vLLM's
            arguments (``--config`` of `vllm serve`): ``engine.yaml``.
        temperature: the sampling temperature; the model's own if None.
        max_tokens: how many tokens a call may write where it does not say; what is left of the context if None.
        options: arguments of vLLM's ``AsyncEngineArgs`` besides the model; not with a file of them.
        chat_template: a file with the template that makes a prompt of messages; that of the weights if None.

    Attributes:
        config: the file of arguments, if there is one.

    Raises:
        UsageError: vLLM is missing, a file is not there, or both a file of arguments and further ones are given.
    """

    tool_calls_remedy = "name the parser of its tool calls (tool-call-parser, in a file of its arguments)"
    """How to get tool calls of the model's own."""

    def __init__(
        self,
        target: str,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        options: Mapping[str, Any] | None = None,
        chat_template: str | Path | None = None,
    ) -> None:
        self._name = f"vllm-engine:{target}"
        if importlib.util.find_spec("vllm") is None:
            raise UsageError(f"model {self._name} needs vLLM: {_GET_ENGINE}")
        self.config = Path(target) if Path(target).suffix in _CONFIGS else None
        if self.config is not None and not self.config.is_file():
            raise UsageError(f"model {self._name}: there is no file {self.config}")
        if self.config is not None and (options or chat_template):
            raise UsageError(f"model {self._name}: the options belong into {self.config}, with the others")
        self._template = None if chat_template is None else self._read_template(Path(chat_template))
        self._target = target
        self._options = {"structured_outputs_config": _STRUCTURED_OUTPUTS, **(options or {})}
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._started: asyncio.Task[Any] | None = None
        self._not_own: frozenset[int] | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """The model, as ``vllm-engine:TARGET``."""
        return self._name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which vLLM takes grammars, the best first."""
        return VLLM_DIALECTS

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Answer a chat (see `dovetail.models.Model.stream`). Closing the stream ends generation.

        Raises:
            ModelError: the engine did not start (``MODEL_UNREACHABLE``) or died (``MODEL_UNAVAILABLE``), the prompt
                does not fit its context (``MODEL_REJECTED``), or the grammar is none
                (``MODEL_GRAMMAR_REFUSED``).
            UsageError: the grammar is in another dialect, the model is closed, or it belongs to another event loop.
        """
        if grammar is not None and grammar.dialect not in VLLM_DIALECTS:
            raise UsageError(f"model {self._name} takes no grammar in {grammar.dialect}")
        engine = await self._engine()
        prompt = self._prompt(engine, messages)
        parameters = self._sampling(engine, len(prompt), max_tokens, stop=stop, grammar=grammar)
        written = cached = 0
        finish_reason: str | None = None
        async with aclosing(self._outputs(engine, prompt, parameters, has_grammar=grammar is not None)) as outputs:
            async for output in outputs:
                piece = output.outputs[0]
                written += len(piece.token_ids)
                cached = output.num_cached_tokens or 0
                if piece.text:
                    yield piece.text
                finish_reason = piece.finish_reason
        yield Completion(finish_reason, Usage(len(prompt), written, cached))

    async def aclose(self) -> None:
        """End the engine, within seconds, whatever it does. The model cannot be used afterwards."""
        self._closed = True
        started, self._started = self._started, None
        if started is not None:
            # A start takes minutes, and its processes would outlive this one. vLLM does not tell when it starts them.
            while not (await asyncio.wait({started}, timeout=_LOOK_SECONDS))[0]:
                self._kill_what_starts()
            if started.exception() is None:
                await asyncio.to_thread(started.result().shutdown, _END_SECONDS)

    async def _engine(self) -> Any:
        """The engine; starts it if there is none, in a thread: it takes from seconds to minutes."""
        if self._closed:
            raise UsageError(f"model {self._name} is closed")
        loop = asyncio.get_running_loop()
        dead = None
        if self._started is not None:
            if self._started.get_loop() is not loop:
                raise UsageError(
                    f"model {self._name} belongs to the event loop of its first stream; open another one for this loop"
                )
            if self._started.done():
                if self._started.exception() is not None:
                    self._started = None
                elif self._started.result().errored:
                    dead, self._started = self._started.result(), None
        if self._started is None:
            self._started = loop.create_task(asyncio.to_thread(self._start, dead))
        # Whoever goes away while it starts does not take it from the others.
        return await asyncio.shield(self._started)

    def _start(self, dead: Any) -> Any:
        if dead is not None:
            dead.shutdown(_END_SECONDS)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from vllm.v1.engine.async_llm import AsyncLLM

            with _one_start:
                if self._closed:
                    raise UsageError(f"model {self._name} is closed")
                self._not_own = frozenset(child.pid or 0 for child in multiprocessing.active_children())
                try:
                    return AsyncLLM.from_engine_args(self._arguments())
                finally:
                    self._not_own = None
        except UsageError:
            raise
        except Exception as problem:
            raise ModelError(
                FailureReason.FAILURE_REASON_MODEL_UNREACHABLE,
                f"the engine of model {self._name} did not start: {problem}; its log says why",
            ) from problem

    def _kill_what_starts(self) -> None:
        """Kill the processes of an engine that is being started, so that its start fails."""
        not_own = self._not_own
        if not_own is None:
            return
        from vllm.utils.system_utils import kill_process_tree

        for child in multiprocessing.active_children():
            if child.name.startswith("EngineCore") and child.pid is not None and child.pid not in not_own:
                kill_process_tree(child.pid)

    def _arguments(self) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs

        if self.config is None:
            return AsyncEngineArgs(model=self._target, **self._options)
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
        for name in _OF_THE_SERVER:
            parser.add_argument(name)
        parser.add_argument("--enable-auto-tool-choice", action="store_true")
        try:
            given = parser.parse_args(["--config", str(self.config)])
        except (SystemExit, ValueError) as problem:  # what is wrong stands on standard error already
            raise UsageError(f"model {self._name}: vLLM does not take these arguments: {problem}") from problem
        if given.chat_template:
            self._template = self._read_template(Path(given.chat_template))
        return AsyncEngineArgs.from_cli_args(given)

    def _read_template(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"model {self._name}: its chat template {path} cannot be read: {problem}") from problem

    def _prompt(
        self, engine: Any, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """The chat in tokens, as the model's template writes it."""
        try:
            tokens: list[int] = engine.get_tokenizer().apply_chat_template(
                list(messages),
                tools=list(tools) or None,
                chat_template=self._template,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
            )
        except Exception as problem:  # a template is a program that comes with the weights, and raises what it likes
            raise ModelError(
                FailureReason.FAILURE_REASON_MODEL_REJECTED,
                f"the chat template of model {self._name} does not take these messages: {problem}",
            ) from problem
        return tokens

    def _sampling(
        self,
        engine: Any,
        prompt_tokens: int,
        max_tokens: int | None,
        *,
        stop: Sequence[str] = (),
        grammar: Grammar | None = None,
    ) -> Any:
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        settings: dict[str, Any] = engine.model_config.get_diff_sampling_param()
        if self._temperature is not None:
            settings["temperature"] = self._temperature
        left = max(1, engine.model_config.max_model_len - prompt_tokens)
        wanted = max_tokens if max_tokens is not None else self._max_tokens
        settings["max_tokens"] = left if wanted is None else min(left, wanted)
        if grammar is not None:
            settings["structured_outputs"] = StructuredOutputsParams(**structured_outputs(grammar))
        return SamplingParams(output_kind=RequestOutputKind.DELTA, stop=list(stop), **settings)

    async def _outputs(
        self, engine: Any, prompt: list[int], parameters: Any, *, has_grammar: bool
    ) -> AsyncGenerator[Any, None]:
        """What the engine writes. Closing it takes the request out of the engine."""
        from vllm import TokensPrompt
        from vllm.exceptions import VLLMClientError, VLLMServerError

        try:
            outputs = engine.generate(TokensPrompt(prompt_token_ids=prompt), parameters, request_id=uuid.uuid4().hex)
            async with aclosing(outputs):
                async for output in outputs:
                    yield output
        except VLLMClientError as problem:
            raise self._refused(problem, has_grammar=has_grammar) from problem
        except VLLMServerError as problem:
            raise ModelError(
                FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE,
                f"the engine of model {self._name} failed: {problem}; its log says why (VLLM_LOGGING_LEVEL=INFO)",
            ) from problem

    def _refused(self, problem: Exception, *, has_grammar: bool) -> ModelError:
        about_grammar = has_grammar and "grammar" in str(problem).casefold()
        return ModelError(
            FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED
            if about_grammar
            else FailureReason.FAILURE_REASON_MODEL_REJECTED,
            f"the engine of model {self._name} refused the {'grammar' if about_grammar else 'request'}: {problem}",
        )
