#!/usr/bin/env python3
"""Writes small files of the containers beside those of `make.py` with their own tools, and the numbers these read back.

    pip install numpy ml_dtypes onnx flax msgpack gguf
    python more.py

The same tables as `make.py`: `X.f32` for each container `X`, and the lines of `more.tsv`.
"""

import io
import pathlib
import zipfile

import flax.serialization
import gguf
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import onnx
import onnx.external_data_helper
import onnx.helper
import onnx.numpy_helper

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(20261124)
index = []
TYPES = {"f64": "<f8", "f32": "<f4", "f16": "<f2", "i64": "<i8", "i32": "<i4", "i16": "<i2", "i8": "i1", "u64": "<u8", "u32": "<u4", "u16": "<u2", "u8": "u1"}


def expect(container, tensors):
    """`tensors`: name -> (encoding, values)."""
    out, start = b"", 0
    for name in sorted(tensors, key=str.encode):
        encoding, values = tensors[name]
        values = np.array(values, dtype="<f4", order="C")
        index.append(f"{container}\t{name}\t{encoding}\t{','.join(map(str, values.shape))}\t{start}\n")
        out += values.tobytes()
        start += values.size
    (HERE / (container + ".f32")).write_bytes(out)


def bits(dtype, *shape):
    """Random bit patterns; signalling NaNs are made quiet, which arithmetic does to them anyway."""
    dtype = np.dtype(dtype)
    values = random.integers(0, 256, int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8).view(dtype).reshape(shape)
    if dtype.kind in "fV":
        values = np.where(np.isnan(values.astype(np.float64)), dtype.type(np.nan), values).astype(dtype)
    return values


# --- NumPy -----------------------------------------------------------------------------------------------------------


def arrays():
    found = {"t." + name: bits(code, 3, 40) for name, code in TYPES.items()}
    found["t.bool"] = random.integers(0, 2, 9).astype(bool)
    found["scalar"] = np.float32(3.5)
    found["empty"] = np.zeros((0, 7), np.float32)
    found["turned"] = np.asfortranarray(random.standard_normal((3, 4, 5)).astype(np.float32))
    found["swapped"] = random.standard_normal((5, 6)).astype(">f4")
    found["swapped-turned"] = np.asfortranarray(random.standard_normal((5, 6)).astype(">f8"))
    found["layer/0/kernel"] = random.standard_normal((4, 4)).astype(np.float16)
    return found


def encoding_of(array):
    if array.dtype == bool:
        return "bool"
    return {"f": "f", "i": "i", "u": "u"}[array.dtype.kind] + str(8 * array.dtype.itemsize)


def make_numpy():
    for name, save in [("stored.npz", np.savez), ("deflated.npz", np.savez_compressed)]:
        found = arrays()
        save(HERE / name, **found)
        back = np.load(HERE / name)
        expect(name, {n: (encoding_of(back[n]), back[n].astype(np.float32)) for n in back.files})
    # NumPy has no name for this type and writes two bytes without one.
    half = bits(ml_dtypes.bfloat16, 6, 8)
    np.save(HERE / "half.npy", half)
    assert np.load(HERE / "half.npy").dtype == np.dtype("V2")
    expect("half.npy", {"half": ("bf16", half.astype(np.float32))})


# --- ONNX ------------------------------------------------------------------------------------------------------------


def make_onnx():
    helper, numpy_helper, P = onnx.helper, onnx.numpy_helper, onnx.TensorProto
    known = {**{n: np.dtype(c) for n, c in TYPES.items()}, "bool": np.dtype(bool), "bf16": np.dtype(ml_dtypes.bfloat16),
             "f8_e4m3": np.dtype(ml_dtypes.float8_e4m3fn), "f8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
             "f8_e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz), "f8_e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz)}
    tensors, names = [], {}
    for name, dtype in known.items():
        values = random.integers(0, 2, (3, 8)).astype(bool) if name == "bool" else bits(dtype, 3, 8)
        tensors.append(numpy_helper.from_array(values, "raw." + name))
        names["raw." + name] = name
        if name in ("f8_e4m3fnuz", "f8_e5m2fnuz", "f8_e4m3", "f8_e5m2", "f16", "bf16"):
            continue
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        with np.errstate(invalid="ignore"):
            tensors.append(helper.make_tensor("list." + name, kind, values.shape, values.flatten().tolist(), raw=False))
        names["list." + name] = name
    half = random.standard_normal((2, 5)).astype(np.float16)
    tensors.append(helper.make_tensor("list.f16", P.FLOAT16, half.shape, half.flatten().tolist()))
    names["list.f16"] = "f16"
    tensors.append(numpy_helper.from_array(np.float32(2.5), "scalar"))
    names["scalar"] = "f32"
    four = random.integers(0, 16, 24).astype(np.uint8)
    packed = (four[0::2] | four[1::2] << 4).tobytes()
    tensors.append(helper.make_tensor("raw.f4", P.FLOAT4E2M1, (4, 6), packed, raw=True))
    names["raw.f4"] = "f4"
    for name, kind in [("i4", P.INT4), ("u4", P.UINT4)]:
        tensors.append(helper.make_tensor("raw." + name, kind, (4, 6), packed, raw=True))
        names["raw." + name] = name
    constant = helper.make_node("Constant", [], ["made"], value=numpy_helper.from_array(random.standard_normal((3, 2)).astype(np.float32), "inner"))
    body = helper.make_graph([], "then", [], [helper.make_tensor_value_info("w", P.FLOAT, (2,))],
                             [numpy_helper.from_array(np.float32([1, 2]), "w")])
    branch = helper.make_node("If", ["raw.bool"], ["chosen"], then_branch=body, else_branch=helper.make_graph([], "else", [], []))
    graph = helper.make_graph([constant, branch], "g", [], [], tensors)
    model = helper.make_model(graph)
    onnx.save(model, HERE / "plain.onnx")
    back = onnx.load(HERE / "plain.onnx")
    truth = {t.name: (names[t.name], numpy_helper.to_array(t).astype(np.float32)) for t in back.graph.initializer}
    truth["made"] = ("f32", numpy_helper.to_array(back.graph.node[0].attribute[0].t))
    truth["chosen/w"] = ("f32", np.float32([1, 2]))
    expect("plain.onnx", truth)


# --- Flax ------------------------------------------------------------------------------------------------------------


def make_flax():
    tree = {"params": {"Dense_0": {"kernel": jnp.array(random.standard_normal((4, 3)), jnp.float32), "bias": jnp.arange(3, dtype=jnp.float16)},
                       "embed": bits(ml_dtypes.bfloat16, 5, 4)},
            "step": np.int32(7), "flag": True, "rate": 0.5, "name": "x", "list": {"0": bits("<f8", 2), "1": bits("u1", 3)}}
    # What is above 2^30 bytes otherwise.
    flax.serialization.MAX_CHUNK_SIZE = 64
    tree["long"] = bits("<f4", 10, 7)
    text = flax.serialization.msgpack_serialize(tree)
    (HERE / "tree.msgpack").write_bytes(text)
    back = flax.serialization.msgpack_restore(text)
    names = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "float64": "f64", "uint8": "u8", "int32": "i32"}
    truth = {}

    def walk(node, path):
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, path + [key])
            elif hasattr(value, "dtype"):
                truth[".".join(path + [key])] = (names[value.dtype.name], np.asarray(value).astype(np.float32))

    walk(back, [])
    expect("tree.msgpack", truth)


# --- GGUF ------------------------------------------------------------------------------------------------------------


def q1_0(raw):
    """By ggml's definition: a half-precision scale, then a bit for each of 128 elements, the first in the lowest."""
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)
    sign = np.unpackbits(raw[:, 2:], axis=1, bitorder="little").astype(np.float32) * 2 - 1
    return sign * scale


def q2_0(raw):
    """The same with two bits for each of 64 elements, of which one is zero."""
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)
    codes = (raw[:, 2:, None] >> np.array([0, 2, 4, 6]) & 3).reshape(len(raw), 64)
    return (codes.astype(np.float32) - 1) * scale


def blocks(size, places):
    raw = random.integers(0, 256, (6, size), dtype=np.uint8)
    for place in places:
        raw[:, place:place + 2] = (random.standard_normal((6, 1)) / 7).astype("<f2").view(np.uint8)
    return raw


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_gguf():
    kinds = gguf.GGMLQuantizationType
    writer, truth = gguf.GGUFWriter(HERE / "few.gguf", "llama"), {}
    raw = blocks(36, [])
    raw[0, :4] = [0, 0x7F, 0x80, 0xFF]
    writer.add_tensor("q.nvfp4", raw.reshape(2, -1), raw_dtype=kinds.NVFP4)
    truth["q.nvfp4"] = ("nvfp4", gguf.quants.dequantize(raw, kinds.NVFP4).reshape(2, -1))
    writer.add_tensor("q.scale", np.float32([1]))
    truth["q.scale"] = ("f32", np.float32([1]))
    raw = blocks(18, [0])
    writer.add_tensor("q.q1_0", raw.reshape(2, -1), raw_dtype=kinds.Q1_0)
    truth["q.q1_0"] = ("q1_0", q1_0(raw).reshape(2, -1))
    close(writer)
    expect("few.gguf", truth)
    # The package does not know type 42 yet: written as 41, whose blocks have as many bytes, and renamed. Rows are half as long.
    writer = gguf.GGUFWriter(HERE / "two.gguf", "llama")
    raw = blocks(18, [0])
    writer.add_tensor("q.q2_0", raw.reshape(2, -1), raw_dtype=kinds.Q1_0)
    close(writer)
    text = (HERE / "two.gguf").read_bytes()
    old = b"q.q2_0" + np.uint32(2).tobytes() + np.uint64([384, 2]).tobytes() + np.uint32(41).tobytes()
    new = b"q.q2_0" + np.uint32(2).tobytes() + np.uint64([192, 2]).tobytes() + np.uint32(42).tobytes()
    assert text.count(old) == 1
    (HERE / "two.gguf").write_bytes(text.replace(old, new))
    expect("two.gguf", {"q.q2_0": ("q2_0", q2_0(raw).reshape(2, -1))})


TURNED = {"Q4_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208], "MXFP4": [], "NVFP4": []}


def make_big_endian():
    """The writer turns plain numbers; blocks are turned here as `gguf_convert_endian.py` does it."""
    writer, truth = gguf.GGUFWriter(HERE / "big.gguf", "llama", endianess=gguf.GGUFEndian.BIG), {}
    writer.add_block_count(3)
    writer.add_float32("golden.float", 0.5)
    writer.add_array("golden.list", [1, 70000, -3])
    for dtype, encoding in [(np.float32, "f32"), (np.float16, "f16"), (np.int32, "i32")]:
        values = (random.standard_normal((3, 8)) * 100).astype(dtype)
        writer.add_tensor("t." + encoding, values.copy())
        truth["t." + encoding] = (encoding, values.astype(np.float32))
    for name, places in TURNED.items():
        kind = gguf.GGMLQuantizationType[name]
        raw = blocks(gguf.GGML_QUANT_SIZES[kind][1], places)
        truth["q." + name.lower()] = (name.lower(), gguf.quants.dequantize(raw, kind).reshape(2, -1))
        for place in places:
            raw[:, place:place + 2] = raw[:, place:place + 2][:, ::-1]
        writer.add_tensor("q." + name.lower(), raw.reshape(2, -1), raw_dtype=kind)
    close(writer)
    back = gguf.GGUFReader(HERE / "big.gguf")
    assert back.endianess == gguf.GGUFEndian.BIG
    for tensor in back.tensors:
        if tensor.name.startswith("t."):
            assert np.array_equal(tensor.data.astype(np.float32), truth[tensor.name][1])
    expect("big.gguf", truth)


make_numpy()
make_onnx()
make_flax()
make_gguf()
make_big_endian()
(HERE / "more.tsv").write_text("".join(index), encoding="utf-8")
