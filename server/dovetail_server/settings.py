"""Settings of the server: from options, the environment and the table ``[serve]`` of a TOML file, in this order."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from dovetail.models.protocol import GrammarDialect  # noqa: TC001 - pydantic reads the annotations
from dovetail.prompts.example_selection import SHOWN_EXAMPLES
from dovetail.prompts.planner_prompt import ExamplesAs  # noqa: TC001 - pydantic reads the annotations
from dovetail.runs.limits import BY_STRATEGY, Limits
from dovetail.setting_layers import LayeredSettings, Names, split_models, split_names

__all__ = ["ServerSettings"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, lt=2**31)]


class ServerSettings(LayeredSettings):
    """What a server is told. The text below a setting is the help of its option."""

    table = "serve"
    files = frozenset(
        {
            "client_ca",
            "examples",
            "joiner_prompt",
            "policies",
            "prices",
            "prompt",
            "tls_certificate",
            "tls_key",
            "tokens",
        }
    )
    options = {  # noqa: RUF012 - see the base
        "models": "--model",
        "examples": "--example",
        "max_parallel_calls": "--max-parallel",
    }

    listen: Names = ("127.0.0.1:50051",)
    """where to listen: HOST:PORT, [HOST]:PORT or unix:PATH; port 0 is any free one"""
    tls_certificate: Path | None = None
    """PEM: the server's certificate and what it is signed by; turns TLS on"""
    tls_key: Path | None = None
    """PEM: the key of that certificate"""
    client_ca: Path | None = None
    """PEM: the authorities of clients' certificates, which then are demanded (mutual TLS)"""
    tokens: Path | None = None
    """TOML: the tokens of clients, made by `dovetail token`"""

    models: Names = ()
    """a model that runs may be planned by, as PROVIDER:NAME; the first is the default"""
    joiner: str | None = None
    """another model to join outputs into answers"""
    base_url: str | None = None
    """where the API of the first model's server is"""
    api_key: SecretStr | None = None
    """the key for the first model's provider"""
    timeout: Seconds | None = None
    """how long a model's server may be silent"""
    max_in_flight: Count | None = None
    """how many requests may be in flight at a model's server; further ones wait in order"""
    grammar_dialect: GrammarDialect | None = None
    """the notation in which the first model's server takes grammars: gbnf, ebnf, lark or json_schema"""
    tools: Names = ()
    """tools that the server's own process carries out"""
    policies: Path | None = None
    """TOML: how calls of tools are made, over what their authors said"""
    prices: Path | None = None
    """TOML: what models cost, before the prices that Dovetail knows"""
    allow: Names = ()
    """a tool that runs may use, or a pattern of names: db.*; of executors too; all if none is given"""
    deny: Names = ()
    """a tool that runs may not use, or a pattern, whatever is allowed"""
    require_approval: Names = ()
    """which calls need approval, besides those of tools that say so: destructive, db.*, send(to!=*@example.com)"""
    max_tools: Count = 40
    """how many tools a planner is shown; of more, the 20 most relevant, or this many"""
    examples: Names = ()
    """questions and their plans, to learn from"""
    max_examples: Count = SHOWN_EXAMPLES
    """how many examples a planner is shown: of more, those nearest to the question"""
    examples_as: ExamplesAs | None = None
    """where a planner is shown them: turns (of the chat), or system (behind the tools); turns if it is not set"""
    prompt: Path | None = None
    """the planner's prompt: a template with the place $tools, which `dovetail prompt --template` prints filled in"""
    joiner_prompt: Path | None = None
    """the joiner's prompt: a template with the place $reply, for `dovetail prompt --joiner --template`"""

    deadline: Seconds = 300.0
    """how long a run may take; a request may ask for less of this and the next five"""
    max_replans: int | None = Field(None, ge=0, lt=2**31)
    """how many further plans, or turns, may follow; 2 plans or 15 turns if it is not set"""
    max_tasks: Count = 1000
    """how many tasks may be planned in a run"""
    max_parallel_calls: Count = 256
    """how many calls of a run may be out at once"""
    max_tokens: int | None = Field(None, gt=0, lt=2**63)
    """how many tokens the models of a run may use"""
    max_cost: float | None = Field(None, gt=0, allow_inf_nan=False)
    """how much the models of a run may cost, in US dollars"""

    max_runs: Count = 20_000
    """how many runs may be in flight"""
    keep_runs: int = Field(10_000, ge=0, lt=2**31)
    """how many runs that ended are kept"""
    keep_seconds: Seconds = 3600.0
    """how long runs that ended are kept"""
    max_waiting_calls: Count = 100_000
    """how many calls may wait for executors"""
    max_executors: Count = 10_000
    """how many executors may be attached"""
    max_streams_per_client: Count = 20_000
    """how many streams a token, or else an address, may have open"""
    max_question_bytes: Count = 65_536
    """how long a question may be"""
    max_message_bytes: int = Field(4 * 1024 * 1024, ge=65_536, lt=2**31)
    """how large a message may be, either way"""

    heartbeat_seconds: Seconds = 2.0
    """how often executors have to send something"""
    lease_seconds: Seconds = 6.0
    """after what silence an executor is lost"""
    grace_seconds: Seconds = 60.0
    """how long a lost executor may come back with results that must not be repeated"""
    drain_seconds: float = Field(30.0, ge=0, allow_inf_nan=False)
    """how long runs may go on once the server is asked to end"""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """what is logged: debug, info, warning or error"""
    log_format: Literal["json", "console"] | None = None
    """json or console; console on a terminal and json elsewhere if not given"""
    log_payloads: bool = False
    """log question, arguments, outputs and answer with each run"""

    _split = field_validator("listen", "tools", "examples", "allow", "deny", "require_approval", mode="before")(
        split_names
    )
    _split_models = field_validator("models", mode="before")(split_models)

    @model_validator(mode="after")
    def _fits_together(self) -> ServerSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            missing = "--tls-key" if self.tls_key is None else "--tls-certificate"
            raise ValueError(f"TLS needs a certificate and its key; add {missing}")
        if self.client_ca is not None and self.tls_certificate is None:
            raise ValueError("clients' certificates need TLS; add --tls-certificate and --tls-key to --client-ca")
        if self.lease_seconds <= self.heartbeat_seconds:
            raise ValueError(
                f"a lease of {self.lease_seconds:g} s is over before the next heartbeat, which is due every "
                f"{self.heartbeat_seconds:g} s; make --lease-seconds three times --heartbeat-seconds"
            )
        if not self.listen:
            raise ValueError("there is no address to listen on; add --listen HOST:PORT")
        return self

    def limits(self) -> Limits:
        """The bounds of a run that asks for none, and the most that one may ask for."""
        return Limits(
            deadline=self.deadline,
            max_replans=BY_STRATEGY if self.max_replans is None else self.max_replans,
            max_tasks=self.max_tasks,
            max_parallel_calls=self.max_parallel_calls,
            max_tokens=self.max_tokens,
            max_cost=self.max_cost,
        )
