#!/usr/bin/env python3
"""Packed weights as the compressed-tensors library writes them, and the numbers that it reads back.

    pip install torch safetensors compressed-tensors
    python compressed.py

The same tables as `make.py`: one folder for each case, and the lines of `compressed.tsv`.
"""

import json
import pathlib
import shutil

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
random = torch.Generator().manual_seed(20261126)
index = []


def ranges(w, args):
    """Least and largest value of what shares a scale."""
    if args.strategy == "tensor":
        return w.min().reshape(1), w.max().reshape(1)
    if args.strategy == "channel":
        return w.amin(1, keepdim=True), w.amax(1, keepdim=True)
    groups = w.reshape(w.shape[0], -1, args.group_size)
    return groups.amin(2), groups.amax(2)


def make(case, form, encoding, shape=(6, 64), whole=None, **args):
    args = QuantizationArgs(**args)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    w = torch.randn(shape, generator=random)
    state = {"weight": w}
    if whole is not None:
        # Scale of the whole, which divides: what brings the largest value to the largest product of a code and a scale.
        state["weight_global_scale"] = torch.tensor([whole / w.abs().max()], dtype=torch.float32)
    low, high = ranges(w, args)
    scale, zero = calculate_qparams(low, high, args, global_scale=state.get("weight_global_scale"))
    state["weight_scale"] = scale
    if not args.symmetric:
        state["weight_zero_point"] = zero
    compressor = BaseCompressor.get_value_from_registry(form)
    packed = compressor.compress(state, scheme)
    if "fp4" in form:
        # The library's own steps, in single precision: by default it rounds what it reads back to bfloat16.
        codes = unpack_fp4_from_uint8(packed["weight_packed"], *shape, dtype=torch.float32)
        scales = compressor._decompress_scale(packed["weight_scale"], torch.float32)
        back = dequantize(x_q=codes, scale=scales, args=args, global_scale=packed.get("weight_global_scale"), dtype=torch.float32)
    else:
        back = compressor.decompress(dict(packed), scheme)["weight"].to(torch.float32)
    folder = HERE / ("ct-" + case)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tensors = {"a." + name: tensor.contiguous() for name, tensor in packed.items()}
    save_file(tensors, folder / "model.safetensors")
    quantization = {"quant_method": "compressed-tensors", "format": form,
                    "config_groups": {"group_0": {"weights": args.model_dump(mode="json", exclude_none=True)}}}
    (folder / "config.json").write_text(json.dumps({"quantization_config": quantization}))
    # The shape is a table of two numbers, and counts like any other piece.
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    values = np.ascontiguousarray(back.numpy(), "<f4")
    (folder / "values.f32").write_bytes(values.tobytes())
    index.append(f"ct-{case}\ta.weight\t{encoding}\t{','.join(map(str, values.shape))}\t{size * 8000 // values.size}\t0\n")


group = dict(strategy="group", group_size=32)
make("int4", "pack-quantized", "int4-packed", num_bits=4, symmetric=True, **group)
make("int4-zero-points", "pack-quantized", "int4-packed", shape=(16, 64), num_bits=4, symmetric=False, **group)
for bits in [2, 3, 5, 6, 7]:
    # Codes and zero points that cross the ends of words, in rows that do not fill theirs.
    make(f"int{bits}", "pack-quantized", f"int{bits}-packed", shape=(38, 72), num_bits=bits, symmetric=False, strategy="group", group_size=24)
make("int8-channel", "pack-quantized", "int8-packed", num_bits=8, symmetric=True, strategy="channel")
make("fp8-channel", "float-quantized", "f8_e4m3-scaled", num_bits=8, type="float", symmetric=True, strategy="channel")
make("fp8-tensor", "float-quantized", "f8_e4m3-scaled", num_bits=8, type="float", symmetric=True, strategy="tensor")
make("int8-plain", "int-quantized", "i8-scaled", num_bits=8, symmetric=True, strategy="channel")
make("nvfp4", "nvfp4-pack-quantized", "nvfp4", whole=6.0 * 448.0, num_bits=4, type="float", symmetric=True, strategy="tensor_group", group_size=16,
     scale_dtype="torch.float8_e4m3fn")
make("mxfp4", "mxfp4-pack-quantized", "mxfp4", num_bits=4, type="float", symmetric=True, strategy="group", group_size=32, scale_dtype="torch.uint8")
(HERE / "compressed.tsv").write_text("".join(index))
