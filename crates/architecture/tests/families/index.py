"""Families whose code lies with their weights, and the names that trainers' own releases use.

Names and extents follow the published code and index of tensors of the repository that is named with each; nothing here comes from a
class. Where a library has a converter from these names, the test of layouts runs it. Numbers in braces are ranges.
"""

from inventory import listed

TERMS = ("weight", "bias")


def linear(name, rows, cols, *more, bias=True):
    """A matrix, or a convolution with `more` extents, and its bias."""
    out = {f"{name}.weight": (rows, cols, *more)}
    return {**out, f"{name}.bias": rows} if bias else out


def norm(name, width, bias=True):
    return {f"{name}.{term}": width for term in (TERMS if bias else TERMS[:1])}


def merge(*parts):
    out = {}
    for part in parts:
        assert not out.keys() & part.keys()
        out.update(part)
    return out


def under(prefix, part):
    return {prefix + name: shape for name, shape in part.items()}


def built(lines, kind="bf16", **config):
    return lambda: (config, listed(kind, lines() if callable(lines) else lines))


def decoder(layers, d, kv, inner, vocab, head=True, qkv_bias=False, norms=("input_layernorm", "post_attention_layernorm")):
    at = "model.layers.{0-%d}." % (layers - 1)
    return merge(
        {"model.embed_tokens.weight": (vocab, d), "model.norm.weight": d}, {"lm_head.weight": (vocab, d)} if head else {},
        linear(at + "self_attn.q_proj", d, d, bias=qkv_bias), linear(at + "self_attn.k_proj", kv, d, bias=qkv_bias),
        linear(at + "self_attn.v_proj", kv, d, bias=qkv_bias), linear(at + "self_attn.o_proj", d, d, bias=False),
        linear(at + "mlp.gate_proj", inner, d, bias=False), linear(at + "mlp.up_proj", inner, d, bias=False),
        linear(at + "mlp.down_proj", d, inner, bias=False), *(norm(at + name, d, bias=False) for name in norms))


def internlm2(layers, d, kv, inner, vocab):
    at = "model.layers.{0-%d}." % (layers - 1)
    return merge(
        {"model.tok_embeddings.weight": (vocab, d), "model.norm.weight": d, "output.weight": (vocab, d)},
        linear(at + "attention.wqkv", d + 2 * kv, d, bias=False), linear(at + "attention.wo", d, d, bias=False),
        linear(at + "feed_forward.w1", inner, d, bias=False), linear(at + "feed_forward.w3", inner, d, bias=False),
        linear(at + "feed_forward.w2", d, inner, bias=False), norm(at + "attention_norm", d, False),
        norm(at + "ffn_norm", d, False))


def meta(layers, d, kv, inner, vocab, experts=0):
    at = "layers.{0-%d}." % (layers - 1)
    feed = at + ("feed_forward.experts.{0-%d}." % (experts - 1) if experts else "feed_forward.")
    router = {at + "feed_forward.gate.weight": (experts, d)} if experts else {}
    return merge(
        {"tok_embeddings.weight": (vocab, d), "norm.weight": d, "output.weight": (vocab, d)}, router,
        {at + f"attention.{name}.weight": (rows, d) for name, rows in (("wq", d), ("wk", kv), ("wv", kv), ("wo", d))},
        {feed + "w1.weight": (inner, d), feed + "w3.weight": (inner, d), feed + "w2.weight": (d, inner)},
        norm(at + "attention_norm", d, False), norm(at + "ffn_norm", d, False))


def siglip(layers, d, inner, positions, patch):
    at = "encoder.layers.{0-%d}." % (layers - 1)
    return merge(
        linear("embeddings.patch_embedding", d, 3, patch, patch), {"embeddings.position_embedding.weight": (positions, d)},
        norm("post_layernorm", d), norm(at + "layer_norm1", d), norm(at + "layer_norm2", d), linear(at + "mlp.fc1", inner, d),
        linear(at + "mlp.fc2", d, inner), *(linear(at + f"self_attn.{name}", d, d) for name in ("q_proj", "k_proj", "v_proj", "out_proj")))


def resampler(d, seen, queries, positions=False):
    return merge(
        {"query": (queries, d), "proj": (d, d), "kv_proj.weight": (d, seen), "attn.in_proj_weight": (3 * d, d),
         "attn.in_proj_bias": 3 * d}, {"pos_embed": (queries, d)} if positions else {},
        linear("attn.out_proj", d, d), norm("ln_q", d), norm("ln_kv", d), norm("ln_post", d))


def timm_vit(layers, d, inner, positions, patch):
    at = "blocks.{0-%d}." % (layers - 1)
    return merge(
        {"pos_embed": (1, positions, d)}, linear("patch_embed.proj", d, 3, patch, patch), norm("norm", d), norm(at + "norm1", d),
        norm(at + "norm2", d), linear(at + "attn.qkv", 3 * d, d), linear(at + "attn.proj", d, d), linear(at + "mlp.fc1", inner, d),
        linear(at + "mlp.fc2", d, inner))


def intern_vit(layers, d, inner, positions, patch):
    at = "encoder.layers.{0-%d}." % (layers - 1)
    return merge(
        {"embeddings.class_embedding": (1, 1, d), "embeddings.position_embedding": (1, positions, d)},
        linear("embeddings.patch_embedding", d, 3, patch, patch), {at + "ls1": d, at + "ls2": d}, norm(at + "norm1", d),
        norm(at + "norm2", d), linear(at + "attn.qkv", 3 * d, d), linear(at + "attn.proj", d, d), linear(at + "mlp.fc1", inner, d),
        linear(at + "mlp.fc2", d, inner))


def clip_text(layers, d, inner, prefix="text_model."):
    at = "encoder.layers.{0-%d}." % (layers - 1)
    return under(prefix, merge(
        {"embeddings.token_embedding.weight": (49408, d), "embeddings.position_embedding.weight": (77, d)},
        norm("final_layer_norm", d), norm(at + "layer_norm1", d), norm(at + "layer_norm2", d), linear(at + "mlp.fc1", inner, d),
        linear(at + "mlp.fc2", d, inner), *(linear(at + f"self_attn.{name}", d, d) for name in ("q_proj", "k_proj", "v_proj", "out_proj"))))


def open_clip_text(layers, d, inner):
    at = "transformer.resblocks.{0-%d}." % (layers - 1)
    return merge(
        {"positional_embedding": (77, d), "text_projection": (d, d), "token_embedding.weight": (49408, d), "logit_scale": (),
         at + "attn.in_proj_weight": (3 * d, d), at + "attn.in_proj_bias": 3 * d}, norm("ln_final", d), norm(at + "ln_1", d),
        norm(at + "ln_2", d), linear(at + "attn.out_proj", d, d), linear(at + "mlp.c_fc", inner, d), linear(at + "mlp.c_proj", d, inner))


def llava():
    """The first release's own names, with the tower inside the language model."""
    tower = merge(
        {k: v for k, v in siglip(24, 1024, 4096, 577, 14).items() if k != "embeddings.patch_embedding.bias"},
        {"embeddings.class_embedding": 1024}, norm("pre_layrnorm", 1024))
    return merge(decoder(32, 4096, 4096, 11008, 32000), under("model.vision_tower.vision_tower.vision_model.", tower),
                 linear("model.mm_projector.0", 4096, 1024), linear("model.mm_projector.2", 4096, 4096))


def chatglm(layers, d, kv, inner, vocab):
    at = "transformer.encoder.layers.{0-%d}." % (layers - 1)
    return merge(
        {"transformer.embedding.word_embeddings.weight": (vocab, d), "transformer.output_layer.weight": (vocab, d),
         "transformer.rotary_pos_emb.inv_freq": 32, "transformer.encoder.final_layernorm.weight": d},
        norm(at + "input_layernorm", d, False), norm(at + "post_attention_layernorm", d, False),
        linear(at + "self_attention.query_key_value", d + 2 * kv, d), linear(at + "self_attention.dense", d, d, bias=False),
        linear(at + "mlp.dense_h_to_4h", 2 * inner, d, bias=False), linear(at + "mlp.dense_4h_to_h", d, inner, bias=False))


def qwen1(layers, d, inner, vocab):
    at = "transformer.h.{0-%d}." % (layers - 1)
    return merge(
        {"transformer.wte.weight": (vocab, d), "transformer.ln_f.weight": d, "lm_head.weight": (vocab, d)},
        norm(at + "ln_1", d, False), norm(at + "ln_2", d, False), linear(at + "attn.c_attn", 3 * d, d),
        linear(at + "attn.c_proj", d, d, bias=False), linear(at + "mlp.w1", inner, d, bias=False),
        linear(at + "mlp.w2", inner, d, bias=False), linear(at + "mlp.c_proj", d, inner, bias=False))


def gpt_oss():
    at, d = "block.{0-23}.", 2880
    return merge(
        {"embedding.weight": (201088, d), "unembedding.weight": (201088, d), "norm.scale": d, at + "attn.norm.scale": d,
         at + "mlp.norm.scale": d, at + "attn.sinks": 64, at + "mlp.mlp1_weight": (32, 2 * d, d), at + "mlp.mlp1_bias": (32, 2 * d),
         at + "mlp.mlp2_weight": (32, d, d), at + "mlp.mlp2_bias": (32, d)},
        linear(at + "attn.qkv", 5120, d), linear(at + "attn.out", d, 4096), linear(at + "mlp.gate", 32, d))


def wan(image):
    at, d, cross = "blocks.{0-39}.", 5120, ("q", "k", "v", "o") + (("k_img", "v_img") if image else ())
    return merge(
        linear("patch_embedding", d, 36 if image else 16, 1, 2, 2), linear("text_embedding.0", d, 4096), linear("text_embedding.2", d, d),
        linear("time_embedding.0", d, 256), linear("time_embedding.2", d, d), linear("time_projection.1", 6 * d, d),
        linear("head.head", 64, d), {"head.modulation": (1, 2, d), at + "modulation": (1, 6, d)}, norm(at + "norm3", d),
        linear(at + "ffn.0", 13824, d), linear(at + "ffn.2", d, 13824),
        *(linear(at + f"self_attn.{n}", d, d) for n in ("q", "k", "v", "o")), *(linear(at + f"cross_attn.{n}", d, d) for n in cross),
        *(norm(at + f"{kind}.{n}", d, False) for kind in ("self_attn", "cross_attn") for n in ("norm_q", "norm_k")),
        *([norm(at + "cross_attn.norm_k_img", d, False), norm("img_emb.proj.0", 1280), linear("img_emb.proj.1", 1280, 1280),
           linear("img_emb.proj.3", d, 1280), norm("img_emb.proj.4", d)] if image else []))


def streams(at, names, d, inner, qkv, heads, proj, first, second, modulation):
    return merge(*(merge(
        linear(at + s + qkv, 3 * d, d), linear(at + s + proj, d, d), linear(at + s + first, inner, d), linear(at + s + second, d, inner),
        linear(at + s + modulation, 6 * d, d), {at + s + name: 128 for name in heads}) for s in names))


def flux():
    d = 3072
    double, single = "double_blocks.{0-18}.", "single_blocks.{0-37}."
    return merge(
        streams(double, ("img_", "txt_"), d, 12288, "attn.qkv", ("attn.norm.query_norm.scale", "attn.norm.key_norm.scale"),
                "attn.proj", "mlp.0", "mlp.2", "mod.lin"),
        linear(single + "linear1", 21504, d), linear(single + "linear2", d, 15360), linear(single + "modulation.lin", 3 * d, d),
        {single + "norm.query_norm.scale": 128, single + "norm.key_norm.scale": 128}, linear("img_in", d, 64), linear("txt_in", d, 4096),
        *(linear(f"{name}.in_layer", d, size) for name, size in (("time_in", 256), ("guidance_in", 256), ("vector_in", 768))),
        *(linear(f"{name}.out_layer", d, d) for name in ("time_in", "guidance_in", "vector_in")),
        linear("final_layer.linear", 64, d), linear("final_layer.adaLN_modulation.1", 2 * d, d))


def hunyuan():
    d, at, refiner = 3072, "single_blocks.{0-39}.", "txt_in.individual_token_refiner.blocks.{0-1}."
    return merge(
        streams("double_blocks.{0-19}.", ("img_", "txt_"), d, 12288, "attn_qkv", ("attn_q_norm.weight", "attn_k_norm.weight"),
                "attn_proj", "mlp.fc1", "mlp.fc2", "mod.linear"),
        linear(at + "linear1", 21504, d), linear(at + "linear2", d, 15360), linear(at + "modulation.linear", 3 * d, d),
        {at + "q_norm.weight": 128, at + "k_norm.weight": 128}, linear("img_in.proj", d, 16, 1, 2, 2),
        linear("txt_in.input_embedder", d, 4096), linear("txt_in.t_embedder.mlp.0", d, 256), linear("txt_in.t_embedder.mlp.2", d, d),
        linear("txt_in.c_embedder.linear_1", d, 4096), linear("txt_in.c_embedder.linear_2", d, d),
        norm(refiner + "norm1", d), norm(refiner + "norm2", d), linear(refiner + "self_attn_qkv", 3 * d, d),
        linear(refiner + "self_attn_proj", d, d), linear(refiner + "mlp.fc1", 12288, d), linear(refiner + "mlp.fc2", d, 12288),
        linear(refiner + "adaLN_modulation.1", 2 * d, d), linear("vector_in.in_layer", d, 768), linear("vector_in.out_layer", d, d),
        *(linear(f"{name}.mlp.0", d, 256) for name in ("time_in", "guidance_in")),
        *(linear(f"{name}.mlp.2", d, d) for name in ("time_in", "guidance_in")),
        linear("final_layer.linear", 64, d), linear("final_layer.adaLN_modulation.1", 2 * d, d))


def cogvideox():
    at, d, mix = "transformer.layers.{0-41}.", 3072, "mixins."
    return under("model.diffusion_model.", merge(
        norm(at + "input_layernorm", d), norm(at + "post_attention_layernorm", d), linear(at + "attention.query_key_value", 3 * d, d),
        linear(at + "attention.dense", d, d), linear(at + "mlp.dense_h_to_4h", 4 * d, d), linear(at + "mlp.dense_4h_to_h", d, 4 * d),
        norm("transformer.final_layernorm", d), linear("time_embed.0", 512, d), linear("time_embed.2", 512, 512),
        linear(mix + "patch_embed.proj", d, 16, 2, 2), linear(mix + "patch_embed.text_proj", d, 4096),
        linear(mix + "adaln_layer.adaLN_modulations.{0-41}.1", 12 * d, 512), norm(mix + "adaln_layer.query_layernorm_list.{0-41}", 64),
        norm(mix + "adaln_layer.key_layernorm_list.{0-41}", 64), norm(mix + "final_layer.norm_final", d),
        linear(mix + "final_layer.linear", 64, d), linear(mix + "final_layer.adaLN_modulation.1", 2 * d, 512)))


def ldm_res(at, into, out, time=1280):
    return merge(norm(at + "in_layers.0", into), linear(at + "in_layers.2", out, into, 3, 3), linear(at + "emb_layers.1", out, time),
                 norm(at + "out_layers.0", out), linear(at + "out_layers.3", out, out, 3, 3),
                 linear(at + "skip_connection", out, into, 1, 1) if into != out else {})


def ldm_attention(at, d, depth, context, flat):
    block, side = at + ("transformer_blocks.{0-%d}." % (depth - 1) if depth > 1 else "transformer_blocks.0."), () if flat else (1, 1)
    return merge(
        norm(at + "norm", d), linear(at + "proj_in", d, d, *side), linear(at + "proj_out", d, d, *side),
        *(norm(block + f"norm{n}", d) for n in (1, 2, 3)), linear(block + "ff.net.0.proj", 8 * d, d), linear(block + "ff.net.2", d, 4 * d),
        *(merge({block + f"{kind}.to_q.weight": (d, d), block + f"{kind}.to_k.weight": (d, seen), block + f"{kind}.to_v.weight": (d, seen)},
                linear(block + f"{kind}.to_out.0", d, d)) for kind, seen in (("attn1", d), ("attn2", context))))


def ldm_unet(widths, depths, middle, context, flat):
    """The latent-diffusion U-Net: two residual blocks a level, three on the way up; `depths` are transformer blocks a level."""
    out = merge(linear("time_embed.0", 1280, 320), linear("time_embed.2", 1280, 1280), linear("input_blocks.0.0", 320, 4, 3, 3))
    width, skips, at = 320, [320], 1
    attend = lambda place, d, depth: ldm_attention(place, d, depth, context, flat) if depth else {}
    for level, (d, depth) in enumerate(zip(widths, depths)):
        for _ in range(2):
            place = f"input_blocks.{at}."
            out = merge(out, ldm_res(place + "0.", width, d), attend(place + "1.", d, depth))
            width, at = d, at + 1
            skips.append(d)
        if level + 1 < len(widths):
            out = merge(out, linear(f"input_blocks.{at}.0.op", d, d, 3, 3))
            at += 1
            skips.append(d)
    out = merge(out, ldm_res("middle_block.0.", width, width), attend("middle_block.1.", width, middle),
                ldm_res("middle_block.2.", width, width))
    at = 0
    for level, (d, depth) in reversed(list(enumerate(zip(widths, depths)))):
        for n in range(3):
            place = f"output_blocks.{at}."
            out = merge(out, ldm_res(place + "0.", width + skips.pop(), d), attend(place + "1.", d, depth))
            if n == 2 and level:
                out = merge(out, linear(place + ("2." if depth else "1.") + "conv", d, d, 3, 3))
            width, at = d, at + 1
    return merge(out, norm("out.0", 320), linear("out.2", 4, 320, 3, 3))


def ldm_vae():
    widths = (128, 256, 512, 512)
    res = lambda at, into, d: merge(norm(at + "norm1", into), linear(at + "conv1", d, into, 3, 3), norm(at + "norm2", d),
                                    linear(at + "conv2", d, d, 3, 3), linear(at + "nin_shortcut", d, into, 1, 1) if into != d else {})
    mid = lambda at: merge(res(at + "mid.block_1.", 512, 512), res(at + "mid.block_2.", 512, 512), norm(at + "mid.attn_1.norm", 512),
                           *(linear(at + f"mid.attn_1.{n}", 512, 512, 1, 1) for n in ("q", "k", "v", "proj_out")))
    out = merge(linear("encoder.conv_in", 128, 3, 3, 3), linear("decoder.conv_in", 512, 4, 3, 3), mid("encoder."), mid("decoder."),
                norm("encoder.norm_out", 512), linear("encoder.conv_out", 8, 512, 3, 3), norm("decoder.norm_out", 128),
                linear("decoder.conv_out", 3, 128, 3, 3), linear("quant_conv", 8, 8, 1, 1), linear("post_quant_conv", 4, 4, 1, 1))
    width = 128
    for level, d in enumerate(widths):
        for n in range(2):
            out = merge(out, res(f"encoder.down.{level}.block.{n}.", width, d))
            width = d
        if level < 3:
            out = merge(out, linear(f"encoder.down.{level}.downsample.conv", d, d, 3, 3))
    for level in reversed(range(4)):
        for n in range(3):
            out = merge(out, res(f"decoder.up.{level}.block.{n}.", width, widths[level]))
            width = widths[level]
        if level:
            out = merge(out, linear(f"decoder.up.{level}.upsample.conv", width, width, 3, 3))
    return out


def sd15():
    schedule = ("alphas_cumprod", "alphas_cumprod_prev", "betas", "log_one_minus_alphas_cumprod", "posterior_log_variance_clipped",
                "posterior_mean_coef1", "posterior_mean_coef2", "posterior_variance", "sqrt_alphas_cumprod",
                "sqrt_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod")
    return merge({name: 1000 for name in schedule}, under("model.diffusion_model.", ldm_unet((320, 640, 1280, 1280), (1, 1, 1, 0), 1, 768, False)),
                 under("first_stage_model.", ldm_vae()), clip_text(12, 768, 3072, "cond_stage_model.transformer.text_model."))


def sdxl():
    unet = merge(ldm_unet((320, 640, 1280), (0, 2, 10), 10, 2048, True), linear("label_emb.0.0", 1280, 2816), linear("label_emb.0.2", 1280, 1280))
    return merge(under("model.diffusion_model.", unet), under("first_stage_model.", ldm_vae()),
                 clip_text(12, 768, 3072, "conditioner.embedders.0.transformer.text_model."),
                 under("conditioner.embedders.1.model.", open_clip_text(32, 1280, 5120)))


def minicpm_v(llm, tower, sampler):
    return lambda: merge(under("llm.", llm), under("vpm.", tower), under("resampler.", sampler))


HEADS = dict(num_attention_heads=32, num_key_value_heads=8)
SO400M = dict(model_type="siglip", num_attention_heads=16)

# id: (title, repository, builder).
MODELS = {
    "yi-6b-first": ("Yi 6B, first release", "01-ai/Yi-6B", built(decoder(32, 4096, 512, 11008, 64000, norms=("ln1", "ln2")), model_type="Yi", num_attention_heads=32, num_key_value_heads=4)),
    "llama-2-7b-native": ("Llama 2 7B, Meta's file", "meta-llama/Llama-2-7b", built(merge(meta(32, 4096, 4096, 11008, 32000), {"rope.freqs": 64}), n_heads=32)),
    "mistral-7b-native": ("Mistral 7B v0.3, Mistral's file", "mistralai/Mistral-7B-v0.3", built(meta(32, 4096, 1024, 14336, 32768), n_heads=32, n_kv_heads=8)),
    "mixtral-8x7b-native": ("Mixtral 8x7B, Mistral's file", "mistralai/Mixtral-8x7B-v0.1", built(meta(32, 4096, 1024, 14336, 32000, 8), n_heads=32, n_kv_heads=8)),
    "gpt-oss-20b-native": ("gpt-oss 20B, OpenAI's file (experts decoded)", "openai/gpt-oss-20b", built(gpt_oss, num_attention_heads=64, num_key_value_heads=8, head_dim=64)),
    "internlm2-7b": ("InternLM2 7B", "internlm/internlm2-7b", built(internlm2(32, 4096, 1024, 14336, 92544), model_type="internlm2", **HEADS)),
    "internlm3-8b": ("InternLM3 8B", "internlm/internlm3-8b-instruct", built(merge({k: v for k, v in decoder(48, 4096, 256, 10240, 128512).items()}), model_type="internlm3", num_attention_heads=32, num_key_value_heads=2, head_dim=128)),
    "qwen-7b": ("Qwen 7B, first generation", "Qwen/Qwen-7B", built(qwen1(32, 4096, 11008, 151936), model_type="qwen", num_attention_heads=32)),
    "chatglm3-6b": ("ChatGLM3 6B", "zai-org/chatglm3-6b", built(chatglm(28, 4096, 256, 13696, 65024), model_type="chatglm", num_attention_heads=32, multi_query_group_num=2, kv_channels=128)),
    "minicpm-2b": ("MiniCPM 2B", "openbmb/MiniCPM-2B-sft-bf16", built(decoder(40, 2304, 2304, 5760, 122753, head=False), model_type="minicpm", num_attention_heads=36, num_key_value_heads=36)),
    "minicpm-v-2": ("MiniCPM-V 2.0", "openbmb/MiniCPM-V-2", built(minicpm_v(decoder(40, 2304, 2304, 5760, 122753), timm_vit(26, 1152, 4304, 1024, 14), resampler(2304, 1152, 64, True)), model_type="minicpmv", num_attention_heads=36, num_key_value_heads=36)),
    "minicpm-llama3-v-2.5": ("MiniCPM-Llama3-V 2.5", "openbmb/MiniCPM-Llama3-V-2_5", built(minicpm_v(decoder(32, 4096, 1024, 14336, 128256), siglip(27, 1152, 4304, 4900, 14), resampler(4096, 1152, 96)), model_type="minicpmv", vision_config=SO400M, **HEADS)),
    "minicpm-v-2.6": ("MiniCPM-V 2.6", "openbmb/MiniCPM-V-2_6", built(minicpm_v(decoder(28, 3584, 512, 18944, 151666, qkv_bias=True), siglip(27, 1152, 4304, 4900, 14), resampler(3584, 1152, 64)), model_type="minicpmv", num_attention_heads=28, num_key_value_heads=4, vision_config=SO400M)),
    "internvl2-8b": ("InternVL2 8B", "OpenGVLab/InternVL2-8B", built(lambda: merge(under("vision_model.", intern_vit(24, 1024, 4096, 1025, 14)), under("language_model.", internlm2(32, 4096, 1024, 14336, 92553)), norm("mlp1.0", 4096), linear("mlp1.1", 4096, 4096), linear("mlp1.3", 4096, 4096)), model_type="internvl_chat", llm_config=dict(HEADS, model_type="internlm2"), vision_config=dict(num_attention_heads=16))),
    "llava-1.5-7b-native": ("LLaVA 1.5 7B, first names", "liuhaotian/llava-v1.5-7b", built(llava, model_type="llava", num_attention_heads=32, num_key_value_heads=32)),
    "wan2.1-t2v-14b-native": ("Wan 2.1 text-to-video 14B, own names", "Wan-AI/Wan2.1-T2V-14B", built(wan(False))),
    "wan2.1-i2v-14b-native": ("Wan 2.1 image-to-video 14B, own names", "Wan-AI/Wan2.1-I2V-14B-480P", built(wan(True))),
    "flux.1-dev-native": ("FLUX.1 dev, own names", "black-forest-labs/FLUX.1-dev", built(flux)),
    "hunyuanvideo-native": ("HunyuanVideo, own names", "tencent/HunyuanVideo", built(hunyuan)),
    "cogvideox-5b-native": ("CogVideoX 5B, own names", "THUDM/CogVideoX-5b-sat", built(cogvideox)),
    "sd-1.5-single": ("Stable Diffusion 1.5 in one file", "stable-diffusion-v1-5/stable-diffusion-v1-5", built(sd15, "f32")),
    "sdxl-single": ("Stable Diffusion XL in one file", "stabilityai/stable-diffusion-xl-base-1.0", built(sdxl, "f16")),
}
