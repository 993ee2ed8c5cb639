# SPDX-License-Identifier: MIT
"""A language model of random weights, a hundred kilobytes large, as a GGUF file: what it says is noise, in whatever shape a grammar
forces upon it."""

import random
import struct

U32, F32, STRING, ARRAY, I32 = 4, 6, 8, 9, 5
ALIGNMENT = 32

LAYERS, WIDTH, HEADS, INNER, CONTEXT = 1, 32, 2, 64, 16384


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _pair(key, kind, value):
    head = _string(key) + struct.pack("<I", kind)
    if kind == STRING:
        return head + _string(value)
    return head + struct.pack("<I" if kind == U32 else "<f", value)


def _array(key, kind, values):
    head = _string(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
    if kind == STRING:
        return head + b"".join(_string(value) for value in values)
    return head + struct.pack(f"<{len(values)}{'f' if kind == F32 else 'i'}", *values)


def _vocabulary():
    """Unknown, begin, end, every byte, and every visible ASCII character: a SentencePiece model without merges."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + ["\u2581"] + [chr(code) for code in range(0x21, 0x7F)]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    return tokens, kinds


def write(path, seed):
    tokens, kinds = _vocabulary()
    pairs = [
        _pair("general.architecture", STRING, "llama"),
        _pair("general.name", STRING, "noise"),
        _pair("llama.context_length", U32, CONTEXT),
        _pair("llama.embedding_length", U32, WIDTH),
        _pair("llama.block_count", U32, LAYERS),
        _pair("llama.feed_forward_length", U32, INNER),
        _pair("llama.attention.head_count", U32, HEADS),
        _pair("llama.attention.head_count_kv", U32, HEADS),
        _pair("llama.rope.dimension_count", U32, WIDTH // HEADS),
        _pair("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        _pair("llama.vocab_size", U32, len(tokens)),
        _pair("tokenizer.ggml.model", STRING, "llama"),
        _array("tokenizer.ggml.tokens", STRING, tokens),
        _array("tokenizer.ggml.scores", F32, [0.0] * len(tokens)),
        _array("tokenizer.ggml.token_type", I32, kinds),
        _pair("tokenizer.ggml.unknown_token_id", U32, 0),
        _pair("tokenizer.ggml.bos_token_id", U32, 1),
        _pair("tokenizer.ggml.eos_token_id", U32, 2),
    ]
    shapes = [("token_embd.weight", (WIDTH, len(tokens))), ("output_norm.weight", (WIDTH,)), ("output.weight", (WIDTH, len(tokens)))]
    for layer in range(LAYERS):
        shapes += [(f"blk.{layer}.{name}.weight", shape) for name, shape in (
            ("attn_norm", (WIDTH,)), ("attn_q", (WIDTH, WIDTH)), ("attn_k", (WIDTH, WIDTH)), ("attn_v", (WIDTH, WIDTH)),
            ("attn_output", (WIDTH, WIDTH)), ("ffn_norm", (WIDTH,)), ("ffn_gate", (WIDTH, INNER)), ("ffn_up", (WIDTH, INNER)),
            ("ffn_down", (INNER, WIDTH)))]
    dice = random.Random(seed)
    infos, data = [], b""
    for name, shape in shapes:
        count = 1
        for size in shape:
            count *= size
        infos.append(_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data)))
        values = [1.0] * count if "norm" in name else [dice.gauss(0, 0.15) for _ in range(count)]
        data += struct.pack(f"<{count}f", *values)
        data += bytes(-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs)) + b"".join(pairs) + b"".join(infos)
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT) + data)
