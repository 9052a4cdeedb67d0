"""Names, shapes and types of a model, written down once per repetition.

A line is `NAME TYPE EXTENTS`; `{0-31}` and `{0-2,5}` in a name stand for every number of the ranges, the last one running fastest; `{weight,bias}` for both.
`# key: text` lines come first, `config key value` lines after them; `include PREFIX ID` stands for all tensors of another inventory.
"""

import re

TYPES = {
    "torch.bfloat16": "bf16", "torch.float16": "f16", "torch.float32": "f32", "torch.uint8": "u8", "torch.int64": "i64",
    "torch.float8_e4m3fn": "f8_e4m3", "torch.int32": "i32", "torch.bool": "bool",
}


def ranges(numbers):
    """`0-2,5` for {0, 1, 2, 5}."""
    out, numbers = [], sorted(numbers)
    start = last = numbers[0]
    for n in numbers[1:] + [None]:
        if n is not None and n == last + 1:
            last = n
            continue
        out.append(str(start) if start == last else f"{start}-{last}")
        start = last = n
    return ",".join(out)


def compress(tensors):
    """Lines for `{name: (type, shape)}`."""
    groups = {}
    for name, (kind, shape) in tensors.items():
        tokens = name.split(".")
        at = [i for i, token in enumerate(tokens) if re.fullmatch(r"0|[1-9][0-9]*", token)]
        template = tuple("{}" if i in at else token for i, token in enumerate(tokens))
        groups.setdefault((template, kind, shape), set()).add(tuple(int(tokens[i]) for i in at))
    lines = []
    for (template, kind, shape), indices in groups.items():
        # From the last number to the first: index tuples that share what comes before are joined, then those that share the rest.
        boxes = {tuple((n,) for n in index) for index in indices}
        for at in reversed(range(len(next(iter(indices))))):
            joined = {}
            for box in boxes:
                joined.setdefault((box[:at], box[at + 1:]), set()).update(box[at])
            boxes = {(*before, tuple(sorted(here)), *after) for (before, after), here in joined.items()}
        for box in boxes:
            numbers = iter(box)
            name = ".".join(
                token if token != "{}" else (lambda s: str(s[0]) if len(s) == 1 else "{" + ranges(s) + "}")(next(numbers))
                for token in template
            )
            lines.append(f"{name} {kind} {'x'.join(map(str, shape)) or 'scalar'}")
    # A bias as wide as its gain shares the line.
    known = set(lines)
    joined = []
    for line in lines:
        stem, found, rest = line.partition(".weight ")
        partner = f"{stem}.bias {rest}" if found else line.replace(".bias ", ".weight ", 1)
        if partner != line and partner in known:
            joined += [f"{stem}.{{weight,bias}} {rest}"] if found else []
        else:
            joined.append(line)
    return sorted(joined)


def expand(pattern):
    """Every name that `pattern` stands for; the opposite of `compress`, for lists written by hand."""
    found = re.search(r"\{([0-9,-]+)\}", pattern)
    if not found:
        yield pattern
        return
    for piece in found[1].split(","):
        first, _, last = piece.partition("-")
        for n in range(int(first), int(last or first) + 1):
            yield from expand(pattern[:found.start()] + str(n) + pattern[found.end():])


def listed(kind, lines):
    """Tensors from `{pattern: shape}`; a shape is a tuple or a number."""
    out = {}
    for pattern, shape in lines.items():
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        for name in expand(pattern):
            assert name not in out, name
            out[name] = (kind, shape)
    return out


def prefixed(prefix, tensors):
    return {prefix + name: value for name, value in tensors.items()}


KEYS = (
    "model_type", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size", "v_head_dim", "qk_nope_head_dim",
    "qk_rope_head_dim", "kv_lora_rank", "rms_norm_eps", "layer_norm_eps", "n_head", "num_heads", "d_model", "num_hidden_layers",
    "kv_channels", "multi_query_group_num", "attention_head_dim", "layer_norm_epsilon", "d_kv", "encoder_attention_heads",
    "norm_eps", "linear_num_value_heads", "linear_num_key_heads", "linear_key_head_dim", "linear_value_head_dim",
)


def settings(config, prefix=""):
    """The entries of a configuration that say something of shapes, flattened with dots."""
    for key, value in sorted(config.items()):
        if isinstance(value, dict):
            yield from settings(value, f"{prefix}{key}.")
        elif (key in KEYS or key.startswith("general.") or ".attention." in key) and isinstance(value, (int, float, str)) and not isinstance(value, bool):
            yield f"config {prefix}{key} {value}"


def write(path, title, source, origin, config, tensors, includes=()):
    lines = [f"# title: {title}", f"# configuration: {source}", f"# names: {origin}"]
    lines += list(settings(config)) + [f"include {prefix} {other}" for prefix, other in includes] + compress(tensors)
    path.write_text("\n".join(lines) + "\n")
    return len(tensors)
