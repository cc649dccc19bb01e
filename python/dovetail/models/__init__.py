"""Language models: the protocol, the providers, and `open_model`, which finds one by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dovetail.models.protocol import (
    AssistantMessage,
    Completion,
    Grammar,
    GrammarDialect,
    Message,
    Model,
    ModelChain,
    ModelStream,
    Replacement,
    ToolCallingModel,
    ToolMessage,
    ToolRequest,
    TurnMessage,
    TurnStream,
    Usage,
    Verbatim,
)
from dovetail.models.provider import open_model

if TYPE_CHECKING:
    from dovetail.models.azure import AzureModel
    from dovetail.models.fallback import FallbackModel, tool_calling_model
    from dovetail.models.friendli import FriendliModel
    from dovetail.models.openai import OpenAIModel
    from dovetail.models.replay import Recorder, Recording, ReplayModel

__all__ = [
    "AssistantMessage",
    "AzureModel",
    "Completion",
    "FallbackModel",
    "FriendliModel",
    "Grammar",
    "GrammarDialect",
    "Message",
    "Model",
    "ModelChain",
    "ModelStream",
    "OpenAIModel",
    "Recorder",
    "Recording",
    "Replacement",
    "ReplayModel",
    "ToolCallingModel",
    "ToolMessage",
    "ToolRequest",
    "TurnMessage",
    "TurnStream",
    "Usage",
    "Verbatim",
    "open_model",
    "tool_calling_model",
]

# The SDK takes most of a second to import; whoever only plans or replays does not wait for it.
_LAZY = {
    "AzureModel": "azure",
    "FallbackModel": "fallback",
    "FriendliModel": "friendli",
    "OpenAIModel": "openai",
    "Recorder": "replay",
    "Recording": "replay",
    "ReplayModel": "replay",
    "tool_calling_model": "fallback",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(f"dovetail.models.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
