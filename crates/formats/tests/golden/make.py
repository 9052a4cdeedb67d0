#!/usr/bin/env python3
"""Writes small checkpoints with the reference libraries, and the numbers they read back from them.

    pip install numpy safetensors gguf torch
    python make.py

For each container `X` the values of its tensors, in name order, are appended to `X.f32` (little-endian), and one line a
tensor goes to `index.tsv`: container, tensor, encoding, shape, first value in `X.f32`.
"""

import collections
import json
import pathlib
import struct

import gguf
import numpy as np
import safetensors
import safetensors.torch
import torch

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(20261122)
index = []


def expect(container, tensors):
    """`tensors`: name -> (encoding, float32 array)."""
    out, start = b"", 0
    for name in sorted(tensors, key=str.encode):
        encoding, values = tensors[name]
        values = np.ascontiguousarray(values, dtype="<f4").reshape(np.shape(values))
        shape = ",".join(map(str, values.shape))
        index.append(f"{container}\t{name}\t{encoding}\t{shape}\t{start}\n")
        out += values.tobytes()
        start += values.size
    (HERE / (container + ".f32")).write_bytes(out)


def bits(dtype, count):
    """Tensor with random bit patterns: infinities, NaNs and denormals included."""
    size = torch.empty(0, dtype=dtype).element_size()
    raw = random.integers(0, 256, count * size, dtype=np.uint8)
    if size == 1 and count >= 256:
        raw[:256] = np.arange(256, dtype=np.uint8)
    return torch.from_numpy(raw).view(dtype)


TORCH_DTYPES = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2, "i64": torch.int64, "i32": torch.int32,
    "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8, "u16": torch.uint16, "u32": torch.uint32,
    "u64": torch.uint64,
}
# Named by the format, but not by every release of the Python binding: written by hand, read back by torch.
RAW_DTYPES = {
    "f8_e4m3fnuz": ("F8_E4M3FNUZ", torch.float8_e4m3fnuz), "f8_e5m2fnuz": ("F8_E5M2FNUZ", torch.float8_e5m2fnuz),
    "f8_e8m0": ("F8_E8M0", torch.float8_e8m0fnu),
}


def make_safetensors():
    tensors, truth = {}, {}
    for encoding, dtype in TORCH_DTYPES.items():
        tensor = bits(dtype, 512).reshape(4, 128)
        tensors["t." + encoding] = tensor
        truth["t." + encoding] = (encoding, tensor.to(torch.float32).numpy())
    flags = torch.tensor([True, False, True])
    tensors["t.bool"], truth["t.bool"] = flags, ("bool", flags.float().numpy())
    tensors["scalar"] = torch.tensor(3.5)
    truth["scalar"] = ("f32", np.float32(3.5).reshape(()))
    tensors["empty"] = torch.zeros(0, 7)
    truth["empty"] = ("f32", np.zeros((0, 7)))
    tensors["模型.weight"] = torch.arange(6.0).reshape(2, 3)
    truth["模型.weight"] = ("f32", tensors["模型.weight"].numpy())
    safetensors.torch.save_file(tensors, HERE / "plain.safetensors", metadata={"format": "pt", "note": "é"})
    expect("plain.safetensors", truth)

    header, data, truth = {}, b"", {}
    for encoding, (name, dtype) in RAW_DTYPES.items():
        tensor = bits(dtype, 256)
        raw = tensor.view(torch.uint8).numpy().tobytes()
        header["t." + encoding] = {"dtype": name, "shape": [256], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
        truth["t." + encoding] = (encoding, tensor.to(torch.float32).numpy())
    raw = bytes(range(256))
    grid = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]
    header["t.f4"] = {"dtype": "F4", "shape": [2, 256], "data_offsets": [len(data), len(data) + 256]}
    data += raw
    truth["t.f4"] = ("f4", np.array([grid[n] for b in raw for n in (b & 15, b >> 4)]).reshape(2, 256))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = HERE / "small.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    with safetensors.safe_open(path, "np") as opened:  # the reference accepts it
        assert sorted(opened.keys()) == sorted(truth)
    expect("small.safetensors", truth)


# Places of the half-precision scales within a block: random bytes there would be infinities and NaNs.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}
# Those whose values are points of a grid, three values or four-bit floats, in a file of their own. IQ1_M hides its scale in four nibbles
# and MXFP4's is a power of two: any byte will do.
MORE_SCALES = {
    "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
}


def add_blocks(writer, truth, scales, random):
    """Random blocks of each type, and what the reference reads."""
    for name, places in scales.items():
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        raw = random.integers(0, 256, (6, size), dtype=np.uint8)
        for place in places:
            raw[:, place:place + 2] = (random.standard_normal((6, 1)) / 7).astype("<f2").view(np.uint8)
        raw = raw.reshape(2, 3 * size)
        encoding = name.lower()
        writer.add_tensor("q." + encoding, raw, raw_dtype=kind)
        truth["q." + encoding] = (encoding, gguf.quants.dequantize(raw, kind).reshape(2, 3 * elements))


def make_gguf():
    writer = gguf.GGUFWriter(HERE / "blocks.gguf", "llama")
    writer.add_name("Golden")
    writer.add_license("mit")
    writer.add_block_count(2)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, "Nova")
    writer.add_base_model_repo_url(0, "https://example.org/acme/nova")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "a", "é"])
    writer.add_float32("golden.float", 0.5)
    writer.add_bool("golden.flag", True)
    truth = {}
    for dtype, encoding in [(np.float32, "f32"), (np.float16, "f16"), (np.float64, "f64"), (np.int8, "i8"),
                            (np.int32, "i32")]:
        values = (random.standard_normal((3, 40)) * 100).astype(dtype)
        writer.add_tensor("t." + encoding, values)
        truth["t." + encoding] = (encoding, values.astype(np.float32))
    values = random.standard_normal((3, 32)).astype(np.float32)
    raw = gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("t.bf16", raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
    truth["t.bf16"] = ("bf16", gguf.quants.dequantize(raw, gguf.GGMLQuantizationType.BF16))
    add_blocks(writer, truth, SCALES, random)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expect("blocks.gguf", truth)


def make_more_gguf():
    random = np.random.default_rng(20261123)
    writer = gguf.GGUFWriter(HERE / "grids.gguf", "llama")
    truth = {}
    add_blocks(writer, truth, MORE_SCALES, random)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expect("grids.gguf", truth)


def torch_state():
    """State dict and, for each name a reader should find, its encoding and values."""
    base = torch.arange(24.0).reshape(4, 6)
    tied = torch.randn(5, 3, generator=torch.Generator().manual_seed(7))
    state = collections.OrderedDict()
    state["f32"] = base
    state["transposed"] = torch.arange(12.0).reshape(3, 4).t()
    state["strided"] = torch.arange(40.0).reshape(5, 8)[1:4, 2::3]
    state["expanded"] = torch.tensor([[1.0], [2.0]]).expand(2, 3)
    state["embed.weight"] = tied
    state["head.weight"] = tied
    state["parameter"] = torch.nn.Parameter(torch.tensor([1.5, -2.5]))
    state["scalar"] = torch.tensor(7.0)
    state["empty"] = torch.zeros(3, 0)
    for encoding in ["f16", "bf16", "f64", "i64", "i32", "i16", "i8", "u8"]:
        state["t." + encoding] = bits(TORCH_DTYPES[encoding], 24).reshape(2, 3, 4)
    state["t.bool"] = torch.tensor([True, False])
    state["nested"] = {"inner": {"w": torch.tensor([9.0])}, "list": [torch.tensor([8.0]), "text"], "number": 3}
    names = {torch.float32: "f32", torch.bool: "bool", **{dtype: name for name, dtype in TORCH_DTYPES.items()}}
    flat = {name: value for name, value in state.items() if name != "nested"}
    flat["nested.inner.w"] = state["nested"]["inner"]["w"]
    flat["nested.list.0"] = state["nested"]["list"][0]
    return state, {name: (names[t.dtype], t.detach().to(torch.float32).numpy()) for name, t in flat.items()}


def make_torch():
    state, truth = torch_state()
    torch.save(state, HERE / "new.pt")
    expect("new.pt", truth)
    torch.save(state, HERE / "old.pt", _use_new_zipfile_serialization=False)
    expect("old.pt", truth)
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
               HERE / "wrapped.pt")
    expect("wrapped.pt", truth)
    eight = {"f8_e4m3": TORCH_DTYPES["f8_e4m3"], "f8_e5m2": TORCH_DTYPES["f8_e5m2"], "u16": torch.uint16}
    eight = {"t." + encoding: (encoding, bits(dtype, 256)) for encoding, dtype in eight.items()}
    torch.save({name: tensor for name, (_, tensor) in eight.items()}, HERE / "eight.pt")
    expect("eight.pt", {name: (encoding, t.to(torch.float32).numpy()) for name, (encoding, t) in eight.items()})
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    torch.save(module, HERE / "module.pt")
    expect("module.pt", {name: ("f32", t.detach().numpy()) for name, t in module.state_dict().items()})


torch.manual_seed(1)
make_safetensors()
make_gguf()
make_torch()
make_more_gguf()
(HERE / "index.tsv").write_text("".join(index), encoding="utf-8")
