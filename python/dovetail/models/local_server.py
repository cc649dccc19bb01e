"""``python -m dovetail.models.local_server FILE.gguf``: llama.cpp's own server, in a process that `LocalModel` starts.

It binds a loopback port of the system's choice and prints one JSON line with its address once it can answer. It ends
when its standard input ends: whatever becomes of the process that started it, no server stays behind.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

__all__ = ["API_KEY_VARIABLE", "PARALLEL", "main"]

API_KEY_VARIABLE: Final = "DOVETAIL_LOCAL_API_KEY"
"""The environment variable with the key that requests must carry; arguments can be read by every user of a machine."""

PARALLEL: Final = 4
"""How many streams are written at the same time; further ones wait."""

_CONTEXT_TOKENS: Final = 16384
_PROMPT_CACHE_MIB: Final = 256
_HTTP_THREADS: Final = 64
# How often a thread of llama.cpp looks whether the others are done before it sleeps. They meet many times for every
# token; by default they look for milliseconds, and where they share their cores, they spend them on looking.
_SPINS: Final = 1000


def main(arguments: list[str]) -> None:
    """Serve the weights in the file that is the only argument, until standard input ends."""
    # Only the address may go to standard output, but what C++ code prints is not ours to choose.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_stdin, daemon=True).start()

    if "OMP_WAIT_POLICY" not in os.environ:
        # Read once, by GCC's OpenMP when it is loaded: with that, what llama.cpp calls polling has no effect.
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))
    import xllamacpp

    [weights] = arguments
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, weights, os.environ.pop(API_KEY_VARIABLE)))
    except RuntimeError as error:
        # What is wrong stands in the lines before; a traceback would push them out of the last ones.
        sys.exit(str(error))
    with report:
        report.write(json.dumps({"address": server.listening_address}) + "\n")
    threading.Event().wait()


def _parameters(xllamacpp: Any, weights: str, api_key: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [api_key]
    parameters.n_ctx = _CONTEXT_TOKENS
    # One pool of context for all streams: a single long prompt may take more than its quarter.
    parameters.kv_unified = True
    parameters.n_parallel = PARALLEL
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    parameters.n_threads_http = _HTTP_THREADS
    parameters.ui = False
    parameters.offline = True
    # The threads of llama.cpp wait for one another at every layer of every token. Where one of them has to share its
    # core, text comes ten times slower: half the cores, hardly spinning, lose little where nothing else runs. A prompt
    # is read in large pieces and has fewer such meetings.
    parameters.cpuparams.n_threads = max(1, _cores() // 2)
    parameters.cpuparams.poll = 0
    parameters.cpuparams_batch.n_threads = _cores()
    # Several streams at once are read as prompts are: these threads must not spin for one another either.
    parameters.cpuparams_batch.poll = 0
    return parameters


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    # Not sys.exit: a thread cannot end the process with it, and there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    # The package is found where the parent found it, not where the parent happens to stand.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".") != Path(__file__).parent]
    main(sys.argv[1:])
