"""Which tests there are: those of vLLM only where it is installed, which is the environment of `make test-vllm`."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("vllm") is not None else ["test_vllm_*.py"]
