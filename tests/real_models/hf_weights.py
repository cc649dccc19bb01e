"""``python hf_weights.py FILE.gguf FOLDER``: weights as vLLM reads them, from a file of llama.cpp's.

Writes two folders of Hugging Face's layout: ``FOLDER/smollm2`` with the weights, and ``FOLDER/dummy``, the same
tokenizer before a model of two thin layers that has no weights at all (``--load-format dummy`` makes them up). Runs in
the environment of vLLM, which has the libraries for it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]

# What of a model's shape makes it small; heads of 64 are the least that vLLM's attention takes.
_THIN: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
}


def main(arguments: list[str]) -> None:
    """Convert the file that is the first argument into the folder that is the second."""
    gguf, folder = (Path(argument) for argument in arguments)
    real, dummy = folder / "smollm2", folder / "dummy"
    _convert(gguf, real)
    _thin_out(real, dummy)


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    # Packed blocks of four bits are of no use to vLLM, and cannot be saved.
    unpacked = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16, quantization_config=unpacked)
    vars(model.config).pop("quantization_config", None)
    target.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(target)
    model.save_pretrained(target)


def _thin_out(real: Path, dummy: Path) -> None:
    dummy.mkdir(parents=True, exist_ok=True)
    for path in real.iterdir():
        if path.suffix != ".safetensors":
            shutil.copy(path, dummy)
    config = json.loads((real / "config.json").read_text(encoding="utf-8"))
    (dummy / "config.json").write_text(json.dumps(config | _THIN, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
