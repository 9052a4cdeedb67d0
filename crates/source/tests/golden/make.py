#!/usr/bin/env python3
"""Writes one small checkpoint for each packed layout, and the numbers that it stands for.

    pip install numpy
    python make.py

Codes, scales and zero points are drawn at random; the numbers follow from them by the definition of the scheme, in
single precision, and the files by its packing. Nothing is shared with the reader. For each folder `X` the values of its
packed tensors, in name order, go to `X/values.f32` (little-endian), and one line a tensor to `index.tsv`: folder, tensor,
encoding, shape, thousandths of a bit for one element, first value in `values.f32`.
"""

import json
import pathlib
import shutil
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(20261122)
index = []
DTYPES = {"F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8", "U8": "u1", "I8": "i1"}


def safetensors(path, tensors):
    """`tensors`: name -> (dtype, array); types that NumPy lacks come as arrays of their bits."""
    header, data = {}, b""
    for name, (dtype, array) in tensors.items():
        raw = np.ascontiguousarray(array).astype(DTYPES.get(dtype, array.dtype)).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def folder(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def checkpoint(case, tensors, expected, config=None):
    """`expected`: tensor -> (encoding, float32 array, names of its pieces)."""
    path = folder(case)
    safetensors(path / "model.safetensors", tensors)
    if config is not None:
        (path / "config.json").write_text(json.dumps({"quantization_config": config}))
    expect(case, tensors, expected)


def expect(case, tensors, expected, extra=0):
    out, start = b"", 0
    for name in sorted(expected, key=str.encode):
        encoding, values, pieces = expected[name]
        assert values.dtype == np.float32, (case, name, values.dtype)
        bits = sum(len(tensors[p][1].astype(DTYPES.get(tensors[p][0], tensors[p][1].dtype)).tobytes()) for p in pieces)
        shape = ",".join(map(str, values.shape))
        index.append(f"{case}\t{name}\t{encoding}\t{shape}\t{bits * 8000 // values.size}\t{start}\n")
        out += np.ascontiguousarray(values, "<f4").tobytes()
        start += values.size
    (HERE / case / "values.f32").write_bytes(out)


def scales(*shape):
    return (random.uniform(0.001, 0.1, shape) * random.choice([-1, 1], shape)).astype(np.float16)


def pack(codes, bits, axis):
    """32-bit words along `axis`, lowest bits first, the last word padded with zeros."""
    per = 32 // bits
    codes = np.moveaxis(codes.astype(np.uint64), axis, -1)
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % per)])
    codes = codes.reshape(*codes.shape[:-1], -1, per)
    words = sum(codes[..., i] << np.uint64(i * bits) for i in range(per)).astype(np.uint32)
    return np.moveaxis(words.view(np.int32), -1, axis)


# --- GPTQ and AWQ ----------------------------------------------------------------------------------------------------


def gptq(case, bits, outputs, inputs, groups, order, config, less_one=True, stored_order=True):
    q = random.integers(0, 1 << bits, (inputs, outputs))
    z = random.integers(0, 1 << bits, (groups, outputs))
    # The first version takes one from every place of a word at once; a zero borrows.
    ones = np.uint32((2**32 - 1) // ((1 << bits) - 1) * less_one)
    s = scales(groups, outputs)
    value = (q - z[order]).astype(np.float32) * s.astype(np.float32)[order]
    tensors = {
        "model.layers.0.mlp.up_proj.qweight": ("I32", pack(q, bits, 0)),
        "model.layers.0.mlp.up_proj.qzeros": ("I32", (pack(z, bits, 1).view(np.uint32) - ones).view(np.int32)),
        "model.layers.0.mlp.up_proj.scales": ("F16", s),
    }
    if stored_order:
        tensors["model.layers.0.mlp.up_proj.g_idx"] = ("I32", order)
    expected = {"model.layers.0.mlp.up_proj.weight": (f"gptq-{bits}", np.ascontiguousarray(value.T), list(tensors))}
    checkpoint(case, tensors, expected, config)


def make_gptq():
    settings = {"quant_method": "gptq"}
    runs = lambda inputs, size: np.arange(inputs) // size
    acted = random.permutation(runs(64, 16))
    gptq("gptq4-act-order", 4, 40, 64, 4, acted, {**settings, "checkpoint_format": "gptq"})
    gptq("gptq4-v2", 4, 32, 64, 2, runs(64, 32), {**settings, "checkpoint_format": "gptq_v2"}, less_one=False)
    gptq("gptq8-one-group", 8, 24, 48, 1, runs(48, 48), settings, stored_order=False)
    gptq("gptq4-runs", 4, 24, 48, 3, runs(48, 16), settings, stored_order=False)
    gptq("gptq2", 2, 16, 64, 2, runs(64, 32), settings)


def awq(words):
    """Words of eight codes; nibble i of a word holds code ORDER[i] of its eight."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return pack(words.reshape(len(words), -1, 8)[:, :, order].reshape(len(words), -1), 4, 1)


def make_awq():
    q, z, s = random.integers(0, 16, (40, 48)), random.integers(0, 16, (5, 48)), scales(5, 48)
    group = np.arange(40) // 8
    value = (q - z[group]).astype(np.float32) * s.astype(np.float32)[group]
    tensors = {"a.qweight": ("I32", awq(q)), "a.qzeros": ("I32", awq(z)), "a.scales": ("F16", s)}
    checkpoint("awq4", tensors, {"a.weight": ("awq-4", np.ascontiguousarray(value.T), list(tensors))},
               {"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm"})


# --- bitsandbytes ----------------------------------------------------------------------------------------------------


def four_bit(case, kind, shape, block, nested, stored_as="U8"):
    count = int(np.prod(shape))
    q = random.integers(0, 16, count)
    table = np.sort(random.uniform(-1, 1, 16)).astype(np.float32)
    blocks = -(-count // block)
    state = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": list(shape)}
    tensors = {}
    if nested:
        inner_table = np.sort(random.uniform(-1, 1, 256)).astype(np.float32)
        codes = random.integers(0, 256, blocks)
        outer = random.uniform(0.01, 0.1, -(-blocks // nested)).astype(np.float32)
        state |= {"nested_blocksize": nested, "nested_dtype": "float32", "nested_offset": 0.125}
        magnitudes = inner_table[codes] * outer[np.arange(blocks) // nested] + np.float32(0.125)
        tensors |= {"a.weight.absmax": ("U8", codes), "a.weight.nested_absmax": ("F32", outer),
                    "a.weight.nested_quant_map": ("F32", inner_table)}
    else:
        magnitudes = random.uniform(0.01, 0.1, blocks).astype(np.float32)
        tensors |= {"a.weight.absmax": ("F32", magnitudes)}
    value = table[q] * magnitudes[np.arange(count) // block]
    pairs = np.append(q, 0)[: count + count % 2].reshape(-1, 2)
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    codes = (pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8).view(DTYPES[stored_as])
    tensors |= {"a.weight": (stored_as, codes[:, None]), "a.weight.quant_map": ("F32", table),
                f"a.weight.quant_state.bitsandbytes__{kind}": ("U8", text)}
    checkpoint(case, tensors, {"a.weight": (kind, value.reshape(shape), list(tensors))}, {"quant_method": "bitsandbytes"})


def make_bitsandbytes():
    four_bit("nf4", "nf4", (12, 40), 64, None)
    four_bit("nf4-odd", "nf4", (5, 39), 64, None)
    four_bit("fp4-nested", "fp4", (132, 128), 64, 256)
    q, s = random.integers(-127, 128, (12, 20)).astype(np.int8), random.uniform(0.1, 2, 12).astype(np.float32)
    value = q.astype(np.float32) * s[:, None] * np.float32(7.874015718698502e-3)
    tensors = {"a.weight": ("I8", q), "a.SCB": ("F32", s), "a.weight_format": ("U8", np.zeros((), np.uint8))}
    checkpoint("int8", tensors, {"a.weight": ("bnb-int8", value, list(tensors))}, {"quant_method": "bitsandbytes"})


# --- eight-bit floats ------------------------------------------------------------------------------------------------


def e4m3(byte):
    sign, exponent, mantissa = byte >> 7, byte >> 3 & 15, byte & 7
    value = mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10)
    return -value if sign else value


E4M3 = np.array([e4m3(byte) for byte in range(256)], np.float32)


def e4m3_bits(*shape):
    codes = random.integers(0, 256, shape).astype(np.uint8)
    codes[codes & 127 == 127] = 0  # not a number
    return codes


def make_eight_bits():
    def one(case, shape, scale, spread, config, end="weight_scale", dtype="F32"):
        q = e4m3_bits(*shape)
        tensors = {"a.weight": ("F8_E4M3", q), f"a.{end}": (dtype, scale)}
        value = E4M3[q] * spread(scale.astype(np.float32))
        checkpoint(case, tensors, {"a.weight": ("f8_e4m3-scaled", value, list(tensors))}, config)

    settings = {"quant_method": "compressed-tensors", "format": "float-quantized"}
    one("fp8-tensor", (6, 10), np.float32([0.02]), lambda s: s, settings)
    one("fp8-channel", (6, 10), scales(6, 1), lambda s: s, settings, dtype="F16")
    spread = lambda down, across, shape: lambda s: s.repeat(down, 0).repeat(across, 1)[: shape[0], : shape[1]]
    one("fp8-block", (40, 60), random.uniform(0.01, 1, (3, 3)).astype(np.float32), spread(16, 24, (40, 60)),
        {"quant_method": "fp8", "weight_block_size": [16, 24]}, end="weight_scale_inv")
    one("fp8-block-128", (130, 260), random.uniform(0.01, 1, (2, 3)).astype(np.float32), spread(128, 128, (130, 260)),
        {"quant_method": "fp8"}, end="weight_scale_inv")
    one("fp8-stack", (3, 5, 8), scales(3, 5, 1), lambda s: s, settings, dtype="F16")
    q, s = random.integers(-128, 128, (6, 32)).astype(np.int8), scales(6, 2)
    value = q.astype(np.float32) * s.astype(np.float32).repeat(16, 1)
    tensors = {"a.weight": ("I8", q), "a.weight_scale": ("F16", s)}
    checkpoint("int8-groups", tensors, {"a.weight": ("i8-scaled", value, list(tensors))},
               {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"group_size": 16}}}})


# --- four-bit floats and packed integers -----------------------------------------------------------------------------

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def make_mxfp4():
    name = "model.layers.0.mlp.experts.gate_up_proj"
    q, e = random.integers(0, 16, (2, 6, 3, 16, 2)), random.integers(100, 140, (2, 6, 3))
    value = np.ldexp(E2M1[q].reshape(2, 6, 3, 32), (e - 127)[..., None]).astype(np.float32).reshape(2, 6, 96)
    tensors = {f"{name}_blocks": ("U8", q[..., 0] | q[..., 1] << 4), f"{name}_scales": ("U8", e)}
    checkpoint("mxfp4", tensors, {f"{name}_blocks": ("mxfp4", value, list(tensors))}, {"quant_method": "mxfp4"})


def make_packed_integers():
    for case, bits, outputs, inputs, groups, with_zeros in [("int4-packed", 4, 6, 36, 3, False), ("int8-packed", 8, 7, 30, 2, True)]:
        q, s = random.integers(0, 1 << bits, (outputs, inputs)), scales(outputs, groups)
        z = random.integers(0, 1 << bits, (outputs, groups)) if with_zeros else np.full((outputs, groups), 1 << bits - 1)
        spread = lambda x: x.repeat(inputs // groups, 1)
        value = (q - spread(z)).astype(np.float32) * spread(s.astype(np.float32))
        tensors = {"a.weight_packed": ("I32", pack(q, bits, 1)), "a.weight_scale": ("F16", s),
                   "a.weight_shape": ("I64", np.array([outputs, inputs]))}
        if with_zeros:
            tensors["a.weight_zero_point"] = ("I32", pack(z, bits, 0))
        checkpoint(case, tensors, {"a.weight": (case, value, list(tensors))},
                   {"quant_method": "compressed-tensors", "format": "pack-quantized"})


# --- low-rank changes ------------------------------------------------------------------------------------------------


def make_adapter():
    normal = lambda *shape: random.standard_normal(shape).astype(np.float32)
    base = {"embed.weight": normal(9, 8), "layers.0.q.weight": normal(12, 8), "layers.0.k.weight": normal(8, 10),
            "layers.0.v.weight": normal(8, 8), "head.weight": normal(9, 8)}
    head = normal(9, 8)
    factors = {"q": (normal(3, 8), normal(12, 3)), "k": (normal(2, 10), normal(8, 2)), "v": (normal(3, 8), normal(8, 3))}
    embedding = (normal(2, 9), normal(8, 2))

    def product(left, right):
        """In the order of the ranks, rounded after each step."""
        total = np.zeros((left.shape[0], right.shape[1]), np.float32)
        for r in range(left.shape[1]):
            total = total + left[:, r : r + 1] * right[r : r + 1]
        return total

    for case, settings, scale in [("adapter", {}, lambda alpha, rank: alpha / rank),
                                  ("adapter-stabilised", {"use_rslora": True}, lambda alpha, rank: alpha / rank**0.5)]:
        for turned in [False, True]:
            # Square matrices stored as [in, out] are what the setting is for; others show their orientation.
            name = case + ("-turned" if turned else "")
            path, tensors, expected = folder(name), {}, {}
            for part, (a, b) in factors.items():
                tensors[f"base_model.model.model.layers.0.{part}.lora_A.weight"] = ("F32", a)
                tensors[f"base_model.model.model.layers.0.{part}.lora_B.weight"] = ("F32", b)
                whole = f"layers.0.{part}.weight"
                by = np.float32(scale(5 if part == "k" else 7, len(a)))
                change = product(a.T, b.T) if turned and part == "v" else product(b, a)
                expected[whole] = ("lora", base[whole] + by * change, [])
            tensors["base_model.model.model.embed.lora_embedding_A"] = ("F32", embedding[0])
            tensors["base_model.model.model.embed.lora_embedding_B"] = ("F32", embedding[1])
            by = np.float32(scale(7, 2))
            expected["embed.weight"] = ("lora", base["embed.weight"] + by * product(embedding[0].T, embedding[1].T), [])
            tensors["base_model.model.head.weight"] = ("F32", head)
            expected["head.weight"] = ("f32", head, [])
            safetensors(path / "adapter_model.safetensors", tensors)
            settings = settings | {"peft_type": "LORA", "r": 3, "lora_alpha": 7, "alpha_pattern": {"k": 5},
                                   "fan_in_fan_out": turned, "use_dora": False}
            (path / "adapter_config.json").write_text(json.dumps(settings))
            expect(name, tensors, expected)
    safetensors(folder("base") / "model.safetensors", {name: ("F32", values) for name, values in base.items()})


# --- three bits, rows of codes, small floats under two scales ----------------------------------------------------------


def stream(codes, bits):
    """Words of a stream of codes along the last axis, lowest bits first; a code may cross words."""
    raw = (codes[..., None] >> np.arange(bits) & 1).astype(np.uint8).reshape(*codes.shape[:-1], -1)
    return np.packbits(raw, axis=-1, bitorder="little").view("<i4")


def make_three_bits():
    odd = np.array([0x24924924, 0x92492492, 0x49249249], np.uint32)
    for case, config in [("gptq3", {}), ("gptq3-by-word", {"meta": {"quantizer": ["gptqmodel:4.0"]}}), ("gptq3-v2", {"checkpoint_format": "gptq_v2"})]:
        outputs, inputs, groups = 96, 64, 2
        q, z, s = random.integers(0, 8, (inputs, outputs)), random.integers(1, 8, (groups, outputs)), scales(groups, outputs)
        group = np.arange(inputs) // (inputs // groups)
        value = (q - z[group]).astype(np.float32) * s.astype(np.float32)[group]
        zeros = stream(z - (case == "gptq3"), 3)
        if case == "gptq3-by-word":
            zeros = (zeros.view(np.uint32) - np.tile(odd, zeros.shape[1] // 3)).view(np.int32)
            config = {"meta": {"quantizer": "gptqmodel:4.0"}}
        tensors = {"a.qweight": ("I32", np.ascontiguousarray(stream(q.T, 3).T)), "a.qzeros": ("I32", zeros), "a.scales": ("F16", s)}
        checkpoint(case, tensors, {"a.weight": ("gptq-3", np.ascontiguousarray(value.T), list(tensors))}, {"quant_method": "gptq", "bits": 3} | config)


def make_awq_rows():
    outputs, inputs, size = 6, 256, 64
    groups, words = inputs // size, 2  # of zero points: one, rounded up for the kernel
    q, z, s = random.integers(0, 16, (outputs, inputs)), random.integers(0, 16, (outputs, groups)), scales(outputs, groups)
    value = (q - z.repeat(size, 1)).astype(np.float32) * s.astype(np.float32).repeat(size, 1)
    wide = lambda x: np.pad(x, [(0, 0), (0, words * 8 - groups)])
    tensors = {"a.qweight": ("I32", pack(q, 4, 1)), "a.qzeros": ("I32", pack(wide(z), 4, 1)), "a.scales": ("F16", wide(s))}
    checkpoint("awq4-rows", tensors, {"a.weight": ("awq-4", value, list(tensors))},
               {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemv"})


def make_nvfp4():
    q, s = random.integers(0, 16, (5, 48)), random.integers(1, 0x7F, (5, 3)).astype(np.uint8)
    codes = (q[:, 0::2] | q[:, 1::2] << 4).astype(np.uint8)
    whole = np.float32(random.uniform(100, 3000))
    for case, payload, key, scale in [("nvfp4-divided", "a.weight_packed", "a.weight_global_scale", E4M3[s] / whole),
                                      ("nvfp4-multiplied", "a.weight", "a.weight_scale_2", E4M3[s] * (np.float32(1) / whole))]:
        number = whole if "divided" in case else np.float32(1) / whole
        tensors = {payload: ("U8", codes), "a.weight_scale": ("F8_E4M3", s), key: ("F32", np.array([number], np.float32))}
        checkpoint(case, tensors, {"a.weight": ("nvfp4", E2M1[q] * scale.astype(np.float32).repeat(16, 1), list(tensors))},
                   {"quant_method": "compressed-tensors" if "divided" in case else "modelopt"})


def make_more_adapters():
    """Adapters on the same base: magnitudes (DoRA), and factors without a configuration (kohya)."""
    random = np.random.default_rng(20261125)
    normal = lambda *shape: random.standard_normal(shape).astype(np.float32)
    raw = (HERE / "base" / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    base = {n: np.frombuffer(raw[8 + size :][e["data_offsets"][0] : e["data_offsets"][1]], "<f4").reshape(e["shape"]) for n, e in header.items()}
    shapes = {"q": (12, 8), "k": (8, 10), "v": (8, 8)}

    def change(b, a, by):
        total = np.zeros((b.shape[0], a.shape[1]), np.float32)
        for r in range(b.shape[1]):
            total = total + b[:, r : r + 1] * a[r : r + 1]
        return np.float32(by) * total

    for case in ["adapter-magnitudes", "adapter-kohya"]:
        path, tensors, expected = folder(case), {}, {}
        for part, (outputs, inputs) in shapes.items():
            a, b, name = normal(4, inputs), normal(outputs, 4), f"layers.0.{part}.weight"
            if case == "adapter-kohya":
                module = f"lora_unet_layers_0_{part}"
                tensors |= {f"{module}.lora_down.weight": ("F32", a), f"{module}.lora_up.weight": ("F32", b)}
                # Where a module does not say its alpha, it is the rank.
                if part != "v":
                    tensors[f"{module}.alpha"] = ("F32", np.float32(2 if part == "q" else 6))
                expected[name] = ("lora", base[name] + change(b, a, {"q": 0.5, "k": 1.5, "v": 1}[part]), [])
                continue
            m = np.abs(normal(outputs)) + np.float32(1)
            module = f"base_model.model.layers.0.{part}"
            tensors |= {f"{module}.lora_A.weight": ("F32", a), f"{module}.lora_B.weight": ("F32", b), f"{module}.lora_magnitude_vector": ("F32", m)}
            whole = base[name] + change(b, a, 2)
            norm = np.array([np.sqrt(sum(float(x) * float(x) for x in row)) for row in whole]).astype(np.float32)
            expected[name] = ("lora", whole * (m / norm)[:, None], [])
        safetensors(path / ("style.safetensors" if case == "adapter-kohya" else "adapter_model.safetensors"), tensors)
        if case != "adapter-kohya":
            (path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_dora": True}))
        expect(case, tensors, expected)


make_gptq()
make_awq()
make_bitsandbytes()
make_eight_bits()
make_mxfp4()
make_packed_integers()
make_adapter()
four_bit("nf4-in-halves", "nf4", (6, 32), 64, None, stored_as="F16")
make_three_bits()
make_awq_rows()
make_nvfp4()
make_more_adapters()
(HERE / "index.tsv").write_text("".join(index))
