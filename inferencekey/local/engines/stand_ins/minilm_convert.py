"""Converts all-MiniLM-L6-v2, as published, to the GGUF file with 8-bit weights for llama.cpp.

The published model is a safetensors file and a word list. This is a program of its own, so that
numpy, gguf and the 90 MB that they work on are gone when it ends:
`python minilm_convert.py SOURCE_FOLDER TARGET.gguf`. The same input gives the same bytes.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

gguf: Any = import_module("gguf")  # it has no types

TOP_LEVEL = {
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
WORDS = {"embeddings.word_embeddings.weight": "token_embd.weight"}
MATRICES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
}
NORMS = {
    "attention.output.LayerNorm": "attn_output_norm",
    "output.LayerNorm": "layer_output_norm",
}
SPECIAL_TOKENS = {
    "bos": "[CLS]",
    "eos": "[SEP]",
    "unk": "[UNK]",
    "sep": "[SEP]",
    "pad": "[PAD]",
    "mask": "[MASK]",
}

# The `▁` that llama.cpp's word-piece tokenizer expects before a token that starts a word.
WORD_START = "\u2581"

Weights = Callable[[str], Any]


def main(argv: list[str]) -> int:
    """Convert the model of the folder `argv[0]` into the file `argv[1]`."""
    source, target = Path(argv[0]), Path(argv[1])
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    vocabulary = (source / "vocab.txt").read_text(encoding="utf-8").split("\n")
    if vocabulary[-1] == "":
        vocabulary.pop()
    weights = read_safetensors(source / "model.safetensors")

    writer = gguf.GGUFWriter(target, "bert")
    add_architecture(writer, config)
    add_tokenizer(writer, vocabulary)
    add_weights(writer, weights, layers=config["num_hidden_layers"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return 0


def read_safetensors(path: Path) -> Weights:
    """Return a function from a tensor's name to its float32 array in the mapped file.

    The format is a length in 8 bytes, little-endian; JSON of that length
    (`name -> dtype, shape, data_offsets`); and the data.
    """
    data = np.memmap(path, dtype=np.uint8, mode="r")
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    start = 8 + length
    header = json.loads(data[8:start].tobytes())

    def tensor(name: str) -> Any:
        entry = header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"tensor {name} is {entry['dtype']}, not F32")
        first, last = entry["data_offsets"]
        return data[start + first : start + last].view(np.float32).reshape(entry["shape"])

    return tensor


def add_architecture(writer: Any, config: dict[str, Any]) -> None:
    """Write the shape of the network; the vector of a sentence is the mean of its tokens."""
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def add_tokenizer(writer: Any, vocabulary: list[str]) -> None:
    """Write the word-piece tokenizer.

    BERT marks the continuation of a word (`##ing`), llama.cpp marks its start.
    """
    tokens: list[str] = []
    kinds: list[int] = []
    for token in vocabulary:
        if token.startswith("[") and token.endswith("]"):
            tokens.append(token)
            kinds.append(gguf.TokenType.CONTROL)
        else:
            tokens.append(token[2:] if token.startswith("##") else WORD_START + token)
            kinds.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    for role, token in SPECIAL_TOKENS.items():
        getattr(writer, f"add_{role}_token_id")(vocabulary.index(token))
    writer.add_uint32("tokenizer.ggml.cls_token_id", vocabulary.index("[CLS]"))


def add_weights(writer: Any, weights: Weights, *, layers: int) -> None:
    """Write matrices in 8 bits; biases, norms and the small tables unchanged."""

    def matrix(source: str, target: str) -> None:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(target, gguf.quants.quantize(weights(source), kind), raw_dtype=kind)

    def exact(source: str, target: str) -> None:
        writer.add_tensor(target, np.ascontiguousarray(weights(source)))

    for source, target in WORDS.items():
        matrix(source, target)
    for source, target in TOP_LEVEL.items():
        exact(source, target)
    for layer in range(layers):
        here, there = f"encoder.layer.{layer}", f"blk.{layer}"
        for source, target in MATRICES.items():
            matrix(f"{here}.{source}.weight", f"{there}.{target}.weight")
            exact(f"{here}.{source}.bias", f"{there}.{target}.bias")
        for source, target in NORMS.items():
            for part in ("weight", "bias"):
                exact(f"{here}.{source}.{part}", f"{there}.{target}.{part}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
