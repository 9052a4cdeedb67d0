"""GGUF's names for families that are here under their own: llama.cpp's table of names (the `gguf` package), its stacked experts and its
split of latent attention. Extents are as the reader shows them, outermost first."""

import pathlib
import re

import gguf

from inventory import expand

HERE = pathlib.Path(__file__).parent
# inventory: (architecture in GGUF, keys of the attention that a reader needs).
MODELS = {
    "mixtral-8x7b": ("llama", 32, 8), "qwen3-30b-a3b": ("qwen3moe", 32, 4), "gemma-2-9b": ("gemma2", 16, 8), "phi-3-mini": ("phi3", 32, 32),
    "glm-4-9b-0414": ("glm4", 32, 2), "glm-4.5-air": ("glm4moe", 96, 8), "deepseek-v2-lite": ("deepseek2", 16, 1), "gpt-oss-20b": ("gpt-oss", 64, 8),
    "gpt-neox-20b": ("gptneox", 64, 64), "falcon-7b": ("falcon", 71, 1), "minicpm3-4b": ("minicpm3", 40, 40), "bert-base": ("bert", 12, 12),
}


def read(name):
    """(configuration, {tensor: (type, shape)}) of an inventory."""
    config, tensors = {}, {}
    for line in (HERE / f"{name}.txt").read_text().splitlines():
        words = line.split()
        if words[0] == "config":
            config[words[1]] = words[2]
        elif words[0] != "#":
            for pattern in ([words[0].replace("{weight,bias}", term) for term in ("weight", "bias")] if "{weight,bias}" in words[0] else [words[0]]):
                for tensor in expand(pattern):
                    tensors[tensor] = (words[1], tuple(int(n) for n in words[2].split("x")))
    return config, tensors


def build(name):
    def make():
        arch, heads, kv = MODELS[name]
        config, tensors = read(name)
        kind = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
        layers = 1 + max(int(n) for tensor in tensors for n in re.findall(r"\.(\d+)\.", tensor))
        table, out, stacks = gguf.get_tensor_name_map(kind, layers), {}, {}
        for tensor, (dtype, shape) in tensors.items():
            if tensor.endswith((".weight_scale_inv", "pooler.dense.weight", "pooler.dense.bias")) or tensor.startswith("cls."):
                continue
            tensor = tensor.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias").replace("e_score_correction_bias", "e_score_correction.bias")
            expert = re.search(r"\.experts\.(\d+)\.", tensor)
            if expert:
                tensor = tensor.replace(expert[0], ".experts.")
                stacks[tensor] = max(stacks.get(tensor, 0), int(expert[1]) + 1)
            if tensor.endswith("kv_b_proj.weight") and arch == "deepseek2":
                nope, value, lora = (int(config[k]) for k in ("qk_nope_head_dim", "v_head_dim", "kv_lora_rank"))
                out[table.get_name(tensor.replace("kv_b", "k_b"), (".weight",))] = ("bf16", (heads, lora, nope))
                out[table.get_name(tensor.replace("kv_b", "v_b"), (".weight",))] = ("bf16", (heads, value, lora))
                continue
            # gpt-oss keeps gate and up apart, and turns experts.
            if arch == "gpt-oss" and "experts." in tensor:
                bias, stem = tensor.endswith("_bias"), tensor.removesuffix("_bias")
                for part in ("gate", "up") if "gate_up" in stem else ("down",):
                    new = table.get_name(re.sub(r"(gate_up|down)_proj$", f"{part}_proj", stem))
                    rows = shape[-1] // 2 if "gate_up" in stem else shape[-1]
                    out[new + (".bias" if bias else ".weight")] = ("bf16", (shape[0], rows) if bias else (shape[0], rows, shape[1]))
                continue
            given = table.get_name(tensor if tensor.endswith((".weight", ".bias")) else tensor + ".weight", (".weight", ".bias"))
            if given is None:
                raise ValueError(f"{name}: llama.cpp has no name for {tensor}")
            if not tensor.endswith((".weight", ".bias")):
                given = given.removesuffix(".weight")
            out[given] = ("bf16", shape, tensor)
        for given, (dtype, shape, *source) in list(out.items()):
            stacked = stacks.get(source[0]) if source else None
            out[given] = (dtype, (stacked, *shape) if stacked else shape[:1] + shape[2:] if len(shape) == 3 and shape[1] == 1 else shape)
        keys = {"general.architecture": arch, f"{arch}.attention.head_count": str(heads), f"{arch}.attention.head_count_kv": str(kv)}
        return keys, out
    return make
