#!/usr/bin/env python3
"""Packed weights as their own tools write them, and the numbers that these read back.

    pip install numpy gguf "mlx[cpu]"
    python tools.py

The same tables as `make.py`: one folder for each case, and the lines of `tools.tsv`.
"""

import json
import pathlib
import shutil

import gguf
import mlx.core as mx
import numpy as np

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(20261125)
index = []
mx.set_default_device(mx.cpu)


def folder(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def expect(case, expected):
    """`expected`: tensor -> (encoding, values, bytes of its pieces)."""
    out, start = b"", 0
    for name in sorted(expected, key=str.encode):
        encoding, values, size = expected[name]
        values = np.ascontiguousarray(values, "<f4")
        index.append(f"{case}\t{name}\t{encoding}\t{','.join(map(str, values.shape))}\t{size * 8000 // values.size}\t{start}\n")
        out += values.tobytes()
        start += values.size
    (HERE / case / "values.f32").write_bytes(out)


def make_mlx():
    weights = lambda *shape: mx.array(random.standard_normal(shape).astype(np.float32))
    tensors, expected, own = {}, {}, {}
    for bits in [2, 3, 4, 5, 6, 8]:
        name, group = f"layers.{bits}.up_proj", 32 if bits == 3 else 64
        w = weights(2, 3, 128) if bits == 4 else weights(5, 128)
        q, s, b = mx.quantize(w, group_size=group, bits=bits)
        tensors |= {f"{name}.weight": q, f"{name}.scales": s, f"{name}.biases": b}
        back = np.array(mx.dequantize(q, s, b, group_size=group, bits=bits))
        expected[f"{name}.weight"] = (f"mlx-{bits}", back, q.nbytes + s.nbytes + b.nbytes)
        own[name] = {"bits": bits, "group_size": group}
    case = folder("mlx")
    mx.save_safetensors(str(case / "model.safetensors"), tensors)
    (case / "config.json").write_text(json.dumps({"quantization": {"group_size": 64, "bits": 4, **own}}))
    expect("mlx", expected)

    for mode in ["mxfp4", "nvfp4"]:
        q, s = mx.quantize(weights(6, 64), mode=mode)
        case = folder("mlx-" + mode)
        mx.save_safetensors(str(case / "model.safetensors"), {"a.weight": q, "a.scales": s})
        (case / "config.json").write_text(json.dumps({"quantization": {"mode": mode, "bits": 4, "group_size": 16 if mode == "nvfp4" else 32}}))
        back = np.array(mx.dequantize(q, s, mode=mode).astype(mx.float32))
        expect("mlx-" + mode, {"a.weight": (mode, back, q.nbytes + s.nbytes)})


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_gguf():
    kind = gguf.GGMLQuantizationType.NVFP4
    raw = random.integers(0, 256, (6, 72), dtype=np.uint8)
    case = folder("gguf-nvfp4")
    writer = gguf.GGUFWriter(case / "model.gguf", "llama")
    whole, stack = np.float32([0.03125]), np.float32([0.5, 3.0])
    writer.add_tensor("blk.0.ffn_up.weight", raw, raw_dtype=kind)
    writer.add_tensor("blk.0.ffn_up.scale", whole)
    writer.add_tensor("blk.0.ffn_up_exps.weight", raw.reshape(2, 3, -1), raw_dtype=kind)
    writer.add_tensor("blk.0.ffn_up_exps.scale", stack)
    close(writer)
    back = gguf.quants.dequantize(raw, kind)
    expect("gguf-nvfp4", {"blk.0.ffn_up.weight": ("nvfp4", back * whole, raw.nbytes + 4),
                          "blk.0.ffn_up_exps.weight": ("nvfp4", back.reshape(2, 3, 128) * stack[:, None, None], raw.nbytes + 8)})


def make_gguf_adapter():
    """Factors in GGUF, under the names of the base that `make.py` wrote."""
    case = folder("adapter-gguf")
    writer = gguf.GGUFWriter(case / "adapter.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 6.0)
    raw = (HERE / "base" / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    entry = json.loads(raw[8 : 8 + size])["layers.0.q.weight"]
    base = np.frombuffer(raw[8 + size :][entry["data_offsets"][0] : entry["data_offsets"][1]], "<f4").reshape(entry["shape"])
    a, b = random.standard_normal((4, 8)).astype(np.float32), random.standard_normal((12, 4)).astype(np.float32)
    writer.add_tensor("layers.0.q.weight.lora_a", a)
    writer.add_tensor("layers.0.q.weight.lora_b", b)
    close(writer)
    total = np.zeros((12, 8), np.float32)
    for r in range(4):
        total = total + b[:, r : r + 1] * a[r : r + 1]
    expect("adapter-gguf", {"layers.0.q.weight": ("lora", base + np.float32(1.5) * total, 0)})


make_mlx()
make_gguf()
make_gguf_adapter()
(HERE / "tools.tsv").write_text("".join(index))
