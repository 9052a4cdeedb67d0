"""Writes golden.txt: which stored element the libraries' own code uses where, for every layout that is declared in the data files.

Each stored tensor holds its own element numbers, so whatever the code of transformers or diffusers takes it apart into says where every
element came from. Needs PyTorch, transformers 5.23 and diffusers 0.42. Usage: make.py

`case NAME` begins an inventory of `config` and `tensor` lines. `part ROLE LAYER EXPERT ROW COLUMN TENSOR ELEMENT` says that the
library's logical matrix has this stored element there. `other NAME` begins a second inventory of the case, and
`same TENSOR ELEMENT TENSOR ELEMENT` says that a converter puts an element of the first into that place of the second.
"""

import pathlib
import random

import torch
import transformers as t
from diffusers.loaders import single_file_utils as converters
from diffusers.models.activations import GEGLU
from diffusers.models.transformers.transformer_flux import FluxSingleTransformerBlock
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

LINES = []
DRAW = random.Random(4)
SAMPLES = 5
HEADS = ("num_attention_heads", "num_key_value_heads", "n_head", "head_dim", "model_type", "qk_nope_head_dim", "qk_rope_head_dim",
         "v_head_dim", "kv_lora_rank", "n_heads", "n_kv_heads")


def numbered(shape, dtype=torch.float64):
    return torch.arange(torch.Size(shape).numel(), dtype=dtype).reshape(shape)


def inventory(word, name, tensors, config=None):
    LINES.append(f"{word} {name}")
    LINES.extend(f"config {key} {value}" for key, value in (config or {}).items() if key in HEADS and value is not None)
    LINES.extend(f"tensor {name} {'x'.join(map(str, value.shape))}" for name, value in sorted(tensors.items()))


def part(role, layer, expert, found, tensor):
    """`found` is the logical [out, in] matrix, made of element numbers of `tensor`."""
    found = found.round().long()
    rows, cols = found.shape
    corners = {(0, 0), (rows - 1, cols - 1), (rows - 1, 0)}
    for row, col in sorted(corners | {(DRAW.randrange(rows), DRAW.randrange(cols)) for _ in range(SAMPLES)}):
        LINES.append(f"part {role} {layer} {expert} {row} {col} {tensor} {found[row, col].item()}")


class Captured(Exception):
    pass


def capture(module, query, key, value, *rest, **more):
    raise Captured(query, key, value)


ALL_ATTENTION_FUNCTIONS.register("capture", capture)


def taken(model, name, kind, width, **arguments):
    """What attention gets for a hidden state of ones at (i, i), when only tensor `name` is not zero: logical q, k and v."""
    model.double()
    with torch.no_grad():
        for other, value in model.named_parameters():
            value.copy_(numbered(value.shape) if other == name else torch.ones_like(value) * other.endswith("norm.weight"))
    attention = next(module for module in model.modules() if type(module).__name__ == kind)
    seen = torch.eye(width, dtype=torch.float64)[None]
    try:
        attention(seen, **arguments)
    except Captured as found:
        return [states[0].permute(0, 2, 1).reshape(-1, width) for states in found.args]
    raise AssertionError(f"{kind} asked for no attention")


def no_rotation(width, length):
    return torch.ones(1, length, width, dtype=torch.float64), torch.zeros(1, length, width, dtype=torch.float64)


def stored(model):
    own = {name for name, _ in model.named_parameters()}
    return revert_weight_conversion(model, {name: value for name, value in model.state_dict().items() if name in own})


def fused_attention():
    small = dict(hidden_size=24, num_attention_heads=4, num_hidden_layers=1, vocab_size=30, intermediate_size=40, attn_implementation="capture")
    model = t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**small))
    name = "gpt_neox.layers.0.attention.query_key_value.weight"
    found = taken(model, name, "GPTNeoXAttention", 24, attention_mask=None, position_embeddings=no_rotation(2, 24))
    inventory("case", "neox", stored(model), model.config.to_dict())
    for role, matrix in zip(("attn.q", "attn.k", "attn.v"), found):
        part(role, 0, "-", matrix, name)

    model = t.Phi3ForCausalLM(t.Phi3Config(**small, num_key_value_heads=2, pad_token_id=0))
    name = "model.layers.0.self_attn.qkv_proj.weight"
    found = taken(model, name, "Phi3Attention", 24, attention_mask=None, position_embeddings=no_rotation(6, 24))
    inventory("case", "phi3", stored(model), model.config.to_dict())
    for role, matrix in zip(("attn.q", "attn.k", "attn.v"), found):
        part(role, 0, "-", matrix, name)

    model = t.GPT2LMHeadModel(t.GPT2Config(n_embd=24, n_head=4, n_layer=1, vocab_size=30, attn_implementation="capture"))
    name = "transformer.h.0.attn.c_attn.weight"
    found = taken(model, name, "GPT2Attention", 24)
    inventory("case", "gpt2", stored(model), model.config.to_dict())
    for role, matrix in zip(("attn.q", "attn.k", "attn.v"), found):
        part(role, 0, "-", matrix, name)

    model = t.Qwen3NextForCausalLM(t.Qwen3NextConfig(**small, num_key_value_heads=2, head_dim=8, layer_types=["full_attention"], moe_intermediate_size=6,
                                                     shared_expert_intermediate_size=6, num_experts=4, linear_num_key_heads=2, linear_num_value_heads=2,
                                                     linear_key_head_dim=4, linear_value_head_dim=4))
    # The norm of queries would mix them; the rest of the model is needed for its names only.
    linear = t.Qwen3NextForCausalLM(t.Qwen3NextConfig(**dict(small, num_hidden_layers=2), num_key_value_heads=2, head_dim=8,
                                                      layer_types=["full_attention", "linear_attention"], moe_intermediate_size=6,
                                                      shared_expert_intermediate_size=6, num_experts=4, linear_num_key_heads=2,
                                                      linear_num_value_heads=2, linear_key_head_dim=4, linear_value_head_dim=4))
    name = "model.layers.0.self_attn.q_proj.weight"
    attention = model.model.layers[0].self_attn
    attention.q_norm = torch.nn.Identity()
    found = taken(model, name, "Qwen3NextAttention", 24, attention_mask=None, position_embeddings=no_rotation(4, 24))
    inventory("case", "qwen3-next", stored(linear), linear.config.to_dict())
    part("attn.q", 0, "-", found[0], name)
    # The gate is what remains: the library's own chunk of the projection.
    gate = torch.chunk(numbered((64, 24)).T[None].view(1, 24, -1, 16), 2, dim=-1)[1].reshape(24, -1).T
    part("attn.q_gate", 0, "-", gate, name)


def falcon():
    small = dict(hidden_size=24, num_attention_heads=4, num_hidden_layers=1, vocab_size=30, bias=False)
    for case, more in (("falcon-40b", dict(num_kv_heads=2, new_decoder_architecture=True)), ("falcon-7b", dict(multi_query=True))):
        model = t.FalconForCausalLM(t.FalconConfig(**small, **more))
        attention, name = model.transformer.h[0].self_attention, "transformer.h.0.self_attention.query_key_value.weight"
        found = attention._split_heads(numbered(attention.query_key_value.weight.shape).T[None])
        inventory("case", case, stored(model), model.config.to_dict())
        groups = more.get("num_kv_heads", 1)
        for role, states in zip(("attn.q", "attn.k", "attn.v"), found):
            # Keys and values may come once for each query head that shares them.
            states = states[0] if role == "attn.q" else states[0][:, :: states.shape[2] // groups]
            part(role, 0, "-", states.permute(1, 2, 0).reshape(-1, 24), name)
    model = t.BloomForCausalLM(t.BloomConfig(hidden_size=24, n_head=4, n_layer=1, vocab_size=30))
    attention, name = model.transformer.h[0].self_attention, "transformer.h.0.self_attention.query_key_value.weight"
    inventory("case", "bloom", stored(model), model.config.to_dict())
    for role, states in zip(("attn.q", "attn.k", "attn.v"), attention._reshape(numbered((72, 24)).T[None])):
        part(role, 0, "-", states[0].permute(0, 2, 1).reshape(-1, 24), name)


def internlm2():
    """Rows are [key-value heads, queries of the group and two, width], as the published class rearranges them (einops
    `b q (h gs d) -> b q h gs d` with gs = 2 + groups; queries are all but the last two)."""
    name, heads, kv, width, d = "model.layers.0.attention.wqkv.weight", 4, 2, 6, 24
    shapes = {"model.tok_embeddings.weight": (30, d), "model.norm.weight": (d,), "output.weight": (30, d), name: ((heads + 2 * kv) * width, d),
              "model.layers.0.attention.wo.weight": (d, d), "model.layers.0.attention_norm.weight": (d,), "model.layers.0.ffn_norm.weight": (d,),
              "model.layers.0.feed_forward.w1.weight": (40, d), "model.layers.0.feed_forward.w3.weight": (40, d),
              "model.layers.0.feed_forward.w2.weight": (d, 40)}
    inventory("case", "internlm2", {name: torch.empty(shape) for name, shape in shapes.items()}, dict(num_attention_heads=heads, num_key_value_heads=kv))
    grouped = numbered(shapes[name]).T.reshape(d, kv, heads // kv + 2, width)
    for role, states in (("attn.q", grouped[:, :, :-2]), ("attn.k", grouped[:, :, -2]), ("attn.v", grouped[:, :, -1])):
        part(role, 0, "-", states.reshape(d, -1).T, name)


def latent_attention():
    config = t.DeepseekV3Config(hidden_size=24, num_attention_heads=4, num_key_value_heads=4, num_hidden_layers=1, vocab_size=30, intermediate_size=40,
                                kv_lora_rank=10, q_lora_rank=8, qk_nope_head_dim=3, qk_rope_head_dim=4, v_head_dim=5, first_k_dense_replace=1,
                                attn_implementation="capture")
    model = t.DeepseekV3ForCausalLM(config).double()
    attention, name = model.model.layers[0].self_attn, "model.layers.0.self_attn.kv_b_proj.weight"
    with torch.no_grad():
        attention.kv_b_proj.weight.copy_(numbered(attention.kv_b_proj.weight.shape))
    eye = torch.eye(10, dtype=torch.float64).view(1, 1, 10, 10)
    key, value = attention.expand_kv(eye, torch.zeros(1, 1, 10, 4, dtype=torch.float64))
    inventory("case", "deepseek", stored(model), config.to_dict())
    part("attn.k_b", 0, "-", key[0, :, :, :3].permute(0, 2, 1).reshape(-1, 10), name)
    part("attn.v_b", 0, "-", value[0].permute(0, 2, 1).reshape(-1, 10), name)


def experts():
    small = dict(hidden_size=8, num_attention_heads=2, num_key_value_heads=2, head_dim=4, num_hidden_layers=1, vocab_size=30, intermediate_size=6)
    vision = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, vision_output_dim=8, image_size=28,
                  patch_size=14, projector_input_dim=8, projector_output_dim=8)
    model = t.Llama4ForConditionalGeneration(t.Llama4Config(text_config=dict(small, intermediate_size_mlp=12, num_local_experts=2), vision_config=vision))
    mixture = next(m for m in model.modules() if type(m).__name__ == "Llama4TextExperts").double()
    at, calls, gates, plain = "language_model.model.layers.0.feed_forward.experts.", [], [], torch.bmm
    with torch.no_grad():
        mixture.gate_up_proj.copy_(numbered(mixture.gate_up_proj.shape))
        mixture.down_proj.copy_(numbered(mixture.down_proj.shape))

    def bmm(a, b):
        calls.append(a)
        # The second product is asked for the identity, to see what the last matrix is to the code.
        return plain(a if len(calls) == 1 else torch.eye(6, dtype=torch.float64).expand(2, 6, 6), b)

    mixture.act_fn.forward = lambda gate: (gates.append(gate), torch.ones_like(gate))[1]
    torch.bmm = bmm
    down = mixture(torch.eye(8, dtype=torch.float64).repeat(2, 1)).view(2, 6, 8)
    torch.bmm = plain
    inventory("case", "llama4", stored(model), model.config.text_config.to_dict())
    for expert in range(2):
        part("ffn.gate", 0, expert, gates[0][expert].T, at + "gate_up_proj")
        part("ffn.up", 0, expert, calls[1][expert].T, at + "gate_up_proj")
        part("ffn.down", 0, expert, down[expert].T, at + "down_proj")

    model = t.GptOssForCausalLM(t.GptOssConfig(**small, num_local_experts=2, num_experts_per_tok=1))
    mixture = next(m for m in model.modules() if type(m).__name__ == "GptOssExperts").double()
    at, gates, sigmoid = "model.layers.0.mlp.experts.", [], torch.sigmoid
    mixture.alpha, mixture.limit = 1.0, float("inf")
    inventory("case", "gpt-oss", stored(model), model.config.to_dict())
    for expert in range(2):
        # What the code adds one to and multiplies by the gate is `up`; the gate's sigmoid is replaced by its reciprocal.
        torch.sigmoid = lambda gate: (gates.append(gate), 1 / gate)[1]
        up = mixture._apply_gate(numbered(mixture.gate_up_proj.shape)[expert] + 1) - 2
        torch.sigmoid = sigmoid
        part("ffn.gate", 0, expert, gates[-1].T - 1, at + "gate_up_proj")
        part("ffn.up", 0, expert, up.T, at + "gate_up_proj")
        part("ffn.down", 0, expert, (torch.eye(6, dtype=torch.float64) @ numbered(mixture.down_proj.shape)[expert]).T, at + "down_proj")


def rotary():
    """Meta's order of rotary pairs against transformers': the published permutation of the rows, checked by the scores it must keep."""
    heads, width, d = 4, 6, 24
    permute = lambda w: w.view(heads, width // 2, 2, d).transpose(1, 2).reshape(heads * width, d)
    q, k = torch.randn(heads * width, d, dtype=torch.float64), torch.randn(heads * width, d, dtype=torch.float64)
    x = torch.randn(5, d, dtype=torch.float64)
    angles = torch.outer(torch.arange(5, dtype=torch.float64), 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width))
    turned = [torch.view_as_real(torch.view_as_complex((x @ w.T).view(5, heads, width // 2, 2)) * torch.polar(torch.ones_like(angles), angles)[:, None])
              .flatten(2).transpose(0, 1) for w in (q, k)]
    both = torch.cat([angles, angles], -1)[None]
    states = [(x @ permute(w).T).view(1, 5, heads, width).transpose(1, 2) for w in (q, k)]
    ours = apply_rotary_pos_emb(*states, both.cos(), both.sin())
    assert torch.allclose(turned[0] @ turned[1].mT, (ours[0] @ ours[1].mT)[0])
    shapes = {"tok_embeddings.weight": (30, d), "norm.weight": (d,), "output.weight": (30, d), "layers.0.attention_norm.weight": (d,),
              "layers.0.ffn_norm.weight": (d,), **{f"layers.0.attention.{n}.weight": (d, d) for n in ("wq", "wk", "wv", "wo")},
              "layers.0.feed_forward.w1.weight": (40, d), "layers.0.feed_forward.w3.weight": (40, d), "layers.0.feed_forward.w2.weight": (d, 40)}
    inventory("case", "meta", {name: torch.empty(shape) for name, shape in shapes.items()}, dict(n_heads=heads, n_kv_heads=heads))
    for role, name in (("attn.q", "wq"), ("attn.k", "wk")):
        part(role, 0, "-", permute(numbered((d, d))), f"layers.0.attention.{name}.weight")


def diffusion():
    layer = GEGLU(8, 12).double()
    seen = []
    with torch.no_grad():
        layer.proj.weight.copy_(numbered(layer.proj.weight.shape))
        layer.proj.bias.zero_()
    layer.gelu = lambda gate: (seen.append(gate), torch.ones_like(gate))[1]
    up = layer(torch.eye(8, dtype=torch.float64))
    at = "down_blocks.0.attentions.0.transformer_blocks.0."
    shapes = {"conv_norm_out.weight": (8,), "time_embedding.linear_1.weight": (8, 8), at + "ff.net.0.proj.weight": (24, 8), at + "ff.net.2.weight": (8, 12)}
    inventory("case", "geglu", {name: torch.empty(shape) for name, shape in shapes.items()})
    part("ffn.up", 0, "-", up.T, at + "ff.net.0.proj.weight")
    part("ffn.gate", 0, "-", seen[0].T, at + "ff.net.0.proj.weight")

    block = FluxSingleTransformerBlock(8, 2, 4, mlp_ratio=2.0).double()
    with torch.no_grad():
        for value in block.parameters():
            value.zero_()
        block.proj_out.weight.copy_(numbered(block.proj_out.weight.shape))
    eye = lambda n: torch.eye(n, dtype=torch.float64)[None]
    halves = []
    for attended, hidden in ((eye(8), torch.zeros(1, 8, 16).double()), (torch.zeros(1, 16, 8).double(), eye(16))):
        length = attended.shape[1]
        block.norm.forward = lambda x, emb=None: (x, torch.ones(1, 8).double())
        block.attn.forward = lambda *a, **k: attended
        block.proj_mlp.forward = lambda x: hidden
        block.act_mlp = torch.nn.Identity()
        zero = torch.zeros(1, length, 8).double()
        halves.append(sum(block(zero, zero[:, :0], torch.zeros(1, 8).double())[1:])[0].T)
    at = "single_transformer_blocks.0."
    shapes = {"transformer_blocks.0.attn.add_k_proj.weight": (8, 8), **{at + n: tuple(v.shape) for n, v in block.state_dict().items()}}
    inventory("case", "flux-single", {name: torch.empty(shape) for name, shape in shapes.items()})
    part("attn.o", 1, "-", halves[0], at + "proj_out.weight")
    part("ffn.down", 1, "-", halves[1], at + "proj_out.weight")


def converted(name, lines, convert, **more):
    """The library's converter from the trainers' names to its own, for every tensor."""
    import index
    import inventory as lists
    native = {n: shape for n, (_, shape) in lists.listed("", lines).items()}
    starts, at = {}, 0
    for key, shape in native.items():
        starts[key] = at
        at += torch.Size(shape).numel()
    numbers = {key: numbered(shape, torch.int64).add_(starts[key]) for key, shape in native.items()}
    order = sorted((start, key) for key, start in starts.items())
    out = convert(dict(numbers), **more)
    inventory("case", name, {key: torch.empty(shape, device="meta") for key, shape in native.items()})
    inventory("other", name, {key: torch.empty(value.shape, device="meta") for key, value in out.items()})
    import bisect
    for key, value in sorted(out.items()):
        flat = value.reshape(-1)
        for element in sorted({flat.numel() - 1, DRAW.randrange(flat.numel())}):
            number = flat[element].item()
            start, source = order[bisect.bisect_right(order, (number, "\uffff")) - 1]
            LINES.append(f"same {source} {number - start} {key} {element}")


def conversions():
    import index
    few = lambda lines, layers: {k.replace("{0-18}", layers).replace("{0-37}", layers).replace("{0-39}", layers).replace("{0-19}", layers): v
                                 for k, v in lines.items()}
    converted("flux", few(index.flux(), "0"), converters.convert_flux_transformer_checkpoint_to_diffusers)
    converted("hunyuanvideo", few(index.hunyuan(), "0"), converters.convert_hunyuan_video_transformer_to_diffusers)
    converted("wan", few(index.wan(True), "0"), converters.convert_wan_transformer_to_diffusers)


def main():
    import sys
    here = pathlib.Path(__file__).parent
    sys.path.insert(0, str(here.parent / "families"))
    for step in (fused_attention, falcon, internlm2, latent_attention, experts, rotary, diffusion, conversions):
        step()
    (here / "golden.txt").write_text("\n".join(LINES) + "\n")


main()
