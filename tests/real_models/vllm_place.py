"""Where `make test-vllm` puts what it prepares, and how vLLM is run on a processor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

__all__ = ["DUMMY", "ENGINE_OPTIONS", "ENVIRONMENT", "SMOLLM2"]

_WEIGHTS: Final = Path(os.environ.get("DOVETAIL_VLLM_WEIGHTS") or Path(sys.prefix).parent / "weights")
SMOLLM2: Final = _WEIGHTS / "smollm2"
DUMMY: Final = _WEIGHTS / "dummy"

ENGINE_OPTIONS: Final[dict[str, Any]] = {
    # Of the machines that have no bfloat16 this one reads prompts six times as fast.
    "dtype": "float32",
    "max_model_len": 4096,
    # Nothing is compiled: up in a quarter of the time, a tenth slower.
    "enforce_eager": True,
    # Prompts are cached in whole blocks; those of a processor are 128 tokens unless told otherwise.
    "block_size": 32,
    "max_num_seqs": 16,
}

ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
