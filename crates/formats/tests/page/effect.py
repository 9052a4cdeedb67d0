#!/usr/bin/env python3
"""The effect of quantisation on trained models: what the scheme predicts from the parent alone, and what is measured.

    pip install numpy torch safetensors
    python effect.py STEMMATA MODELS PARENT CHILD [PARENT CHILD ...] > effect.tsv

A quantiser that rounds to the nearest of its levels makes an error that is uniform over the distance of two levels: its square is that
distance squared over twelve (Bennett 1948). Where the levels lie follows from the scheme and from the largest value of each block of the parent;
nothing of the child is used but its encoding. `stemmata diff` measures. Relative errors are Frobenius norms over all matrices of one
encoding: sqrt(sum of squared differences / sum of squares).
"""

import collections
import csv
import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file

NL = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]) / 127
NF4 = np.array([-1.0, -0.6961928, -0.5250730, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0, 0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0])
E2M1 = np.array([-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6])


def blocks(w, size):
    size = size or w.shape[-1]
    flat = w.reshape(-1, w.shape[-1])
    pad = -flat.shape[1] % size
    return np.pad(flat, [(0, 0), (0, pad)]).reshape(-1, size), pad


def even(levels, signed):
    """Levels at equal distances: from zero to the largest magnitude, or from the least to the largest."""
    def spacing(b):
        span = np.abs(b).max(1) if signed else np.maximum(b.max(1), 0) - np.minimum(b.min(1), 0)
        return np.repeat((span / levels)[:, None], b.shape[1], 1)
    return spacing


def table(levels, top):
    """Levels of a table, stretched so that `top` is the largest magnitude: half of what lies below and above each value's level."""
    mid = (levels[1:] + levels[:-1]) / 2
    gap = np.diff(levels)
    width = np.concatenate([[gap[0]], (gap[1:] + gap[:-1]) / 2, [gap[-1]]])
    def spacing(b):
        scale = top(np.abs(b).max(1, keepdims=True))
        safe = np.where(scale == 0, 1, scale)
        return width[np.searchsorted(mid, b / safe)] * safe
    return spacing


def floating(mantissa, least, top=None):
    """Floating point: the distance is a power of two below the value."""
    def spacing(b):
        scale = 1 if top is None else np.maximum(np.abs(b).max(1, keepdims=True), 1e-30) / top
        exponent = np.floor(np.log2(np.maximum(np.abs(b) / scale, 2.0**least)))
        return 2.0 ** (exponent - mantissa) * scale
    return spacing


power = lambda amax: 2.0 ** (np.floor(np.log2(np.maximum(amax, 1e-30))) - 2)
SCHEMES = {
    "f16": (None, floating(10, -14)), "q8_0": (32, even(127, True)), "q4_0": (32, even(8, True)), "iq4_nl": (32, table(NL, lambda m: m)),
    "q4_k": (32, even(15, False)), "q5_k": (32, even(31, False)), "q6_k": (16, even(32, True)), "q3_k": (16, even(4, True)), "q2_k": (16, even(3, False)),
    "nf4": (64, table(NF4, lambda m: m)), "bnb-int8": (None, even(127, True)), "gptq-4": (32, even(15, False)), "awq-4": (32, even(15, False)),
    "f8_e4m3-scaled": (None, floating(3, -6, 448)), "mxfp4": (32, table(E2M1, power)),
}


def stemmata(*arguments):
    text = subprocess.run([sys.argv[1], *arguments, "--format", "tsv", "-q"], capture_output=True, check=True, text=True).stdout
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


print("parent\tchild\tencoding\tmatrices\tpredicted\tmeasured\tmeasured over predicted")
models = pathlib.Path(sys.argv[2])
for parent, child in zip(sys.argv[3::2], sys.argv[4::2]):
    weights = {}
    for path in sorted((models / parent).glob("*.safetensors")):
        weights |= load_file(path)
    encodings = {row["name"]: row["encoding"] for row in stemmata("inspect", str(models / child))}
    sums = collections.defaultdict(lambda: np.zeros(3))
    counts = collections.Counter()
    seen = set()
    for row in stemmata("diff", str(models / child), str(models / parent)):
        encoding = encodings.get(row["candidate"])
        if encoding not in SCHEMES or row["relative"] in ("", "-") or int(row["rows"]) < 2 or (row["place"], row["candidate"]) in seen:
            continue
        seen.add((row["place"], row["candidate"]))
        w = weights[row["reference"]].to(torch.float32).numpy().astype(np.float64)
        # Where a stored tensor is several matrices the measured row speaks of one, and so must the prediction: their share.
        share = int(row["rows"]) * int(row["columns"]) / w.size
        size, spacing = SCHEMES[encoding]
        if w.ndim < 2:
            continue
        b, pad = blocks(w, size)
        error = (spacing(b) ** 2 / 12).sum() * (1 - pad / (pad + w.shape[-1]))
        norm = (w**2).sum()
        sums[encoding] += np.array([error * share, float(row["relative"]) ** 2 * norm * share, norm * share])
        counts[encoding] += 1
    for encoding, (error, measured, norm) in sorted(sums.items()):
        a, b = (error / norm) ** 0.5, (measured / norm) ** 0.5
        print(f"{parent}\t{child}\t{encoding}\t{counts[encoding]}\t{a:.5f}\t{b:.5f}\t{b / a:.2f}")
