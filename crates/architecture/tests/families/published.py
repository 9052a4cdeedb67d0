"""Families whose classes are in transformers. Every number is from the `config.json` of the repository that is named with it."""

import torch
import transformers as t
from transformers.core_model_loading import revert_weight_conversion

from inventory import TYPES, listed


def stored(model):
    """Tensors as `save_pretrained` names them: tied ones once, and fused ones taken apart where the files have them apart."""
    own = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
    state = {name: value for name, value in model.state_dict().items() if name in own}
    out = revert_weight_conversion(model, state)
    return {name: (TYPES[str(value.dtype)], tuple(value.shape)) for name, value in out.items()}


def hub(model, config, dtype=torch.bfloat16):
    torch.set_default_dtype(dtype)
    with torch.device("meta"):
        built = getattr(t, model)(config)
    torch.set_default_dtype(torch.float32)
    return config.to_dict(), stored(built)


def llama(vocab, hidden, inner, layers, heads, kv, **more):
    return dict(vocab_size=vocab, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
                num_attention_heads=heads, num_key_value_heads=kv, **more)


LLAMA3_8B = llama(128256, 4096, 14336, 32, 32, 8)
QWEN2_7B = llama(152064, 3584, 18944, 28, 28, 4)
QWEN3_8B = llama(151936, 4096, 12288, 36, 32, 8, head_dim=128)
QWEN3_30B = llama(151936, 2048, 6144, 48, 32, 4, head_dim=128, moe_intermediate_size=768, num_experts=128)
SO400M = dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16)
CLIP_L_336 = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336,
                  patch_size=14, projection_dim=768)
QWEN3_VISION = dict(depth=27, hidden_size=1152, intermediate_size=4304, num_heads=16, patch_size=16,
                    num_position_embeddings=2304, deepstack_visual_indexes=[8, 16, 24])
DEEPSEEK_V3 = llama(129280, 7168, 18432, 61, 128, 128, moe_intermediate_size=2048, n_shared_experts=1, n_routed_experts=256,
                    kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64, v_head_dim=128, qk_nope_head_dim=128,
                    first_k_dense_replace=3)
KIMI_K2 = llama(163840, 7168, 18432, 61, 64, 64, moe_intermediate_size=2048, n_shared_experts=1, n_routed_experts=384,
                kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64, v_head_dim=128, qk_nope_head_dim=128,
                first_k_dense_replace=1)


def multi_token_layer(tensors, layer, like, vocab, hidden):
    """DeepSeek's extra layer of multi-token prediction, which the classes leave out: a layer like `like` and what feeds it."""
    at = f"model.layers.{layer}."
    copied = {name.replace(f"model.layers.{like}.", at): value for name, value in tensors.items()
              if name.startswith(f"model.layers.{like}.")}
    extra = {"embed_tokens.weight": (vocab, hidden), "enorm.weight": hidden, "hnorm.weight": hidden,
             "eh_proj.weight": (hidden, 2 * hidden), "shared_head.norm.weight": hidden,
             "shared_head.head.weight": (vocab, hidden)}
    return {**tensors, **copied, **listed("bf16", {at + name: shape for name, shape in extra.items()})}


def deepseek_v3(mark):
    config, tensors = hub("DeepseekV3ForCausalLM", t.DeepseekV3Config(**DEEPSEEK_V3))
    tensors = multi_token_layer(tensors, 61, 60, 129280, 7168)
    if mark == "fp8":
        for name, (_, shape) in list(tensors.items()):
            if len(shape) == 2 and "_proj" in name and "eh_proj" not in name:
                tensors[name] = ("f8_e4m3", shape)
                scales = tuple(-(-extent // 128) for extent in shape)
                tensors[name.replace(".weight", ".weight_scale_inv")] = ("f32", scales)
    return config, tensors


def glm45_air():
    config, tensors = hub("Glm4MoeForCausalLM", t.Glm4MoeConfig(
        **llama(151552, 4096, 10944, 46, 96, 8), head_dim=128, moe_intermediate_size=1408, n_routed_experts=128,
        n_shared_experts=1, first_k_dense_replace=1, attention_bias=True, use_qk_norm=False))
    return config, multi_token_layer(tensors, 46, 45, 151552, 4096)


def gpt_oss_mxfp4():
    """As published: experts in blocks of four bits; the reader shows `_blocks` decoded, so it is listed with its full extents."""
    config, tensors = gpt_oss()
    for name, (kind, shape) in list(tensors.items()):
        if name.endswith(("gate_up_proj", "down_proj")):
            del tensors[name]
            experts, inputs, outputs = shape
            tensors[name + "_blocks"] = (kind, (experts, outputs, inputs))
    return config, tensors


def gpt_oss():
    return hub("GptOssForCausalLM", t.GptOssConfig(
        **llama(201088, 2880, 2880, 24, 64, 8), head_dim=64, num_local_experts=32, num_experts_per_tok=4))


def llama4(experts, step):
    text = llama(202048, 5120, 8192, 48, 40, 8, head_dim=128, intermediate_size_mlp=16384, num_local_experts=experts,
                 interleave_moe_layer_step=step)
    vision = dict(hidden_size=1408, num_hidden_layers=34, num_attention_heads=16, intermediate_size=5632, vision_output_dim=4096,
                  image_size=336, patch_size=14, projector_input_dim=4096, projector_output_dim=4096, pixel_shuffle_ratio=0.5)
    return hub("Llama4ForConditionalGeneration", t.Llama4Config(text_config=text, vision_config=vision))


def vision_language(model, config, text, vision, text_type, vision_type, **more):
    config = getattr(t, config)(text_config=dict(text, model_type=text_type), vision_config=dict(vision, model_type=vision_type),
                                **more)
    config, tensors = hub(model, config)
    if vision_type in ("clip_vision_model", "siglip_vision_model"):
        # The files keep the prefix that the classes of the towers have since dropped.
        tensors = {name.replace("vision_tower.", "vision_tower.vision_model."): value for name, value in tensors.items()}
    return config, tensors


def kimi_k25():
    config, tensors = hub("Kimi_K25ForConditionalGeneration", t.Kimi_K25Config(
        text_config=dict(KIMI_K2, model_type="deepseek_v3"), vision_config=dict(SO400M, patch_size=14), projection_hidden_size=1152))
    # Turning the names back, the library mixes up three that the files have otherwise.
    for given, published in (("language_model.model.blocks.", "language_model.model.layers."), ("model.mm_projector.", "mm_projector."),
                             ("vision_tower.encoder.patch_embed.", "vision_tower.patch_embed.")):
        tensors = {published + name[len(given):] if name.startswith(given) else name: value for name, value in tensors.items()}
    return config, tensors


def bert():
    """With the words for gain and bias of a norm that the first release's files still have."""
    config, tensors = hub("BertForPreTraining", t.BertConfig(), torch.float32)
    return config, {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
                    for name, value in tensors.items()}


def kimi_linear():
    whole = (3, 7, 11, 15, 19, 23, 26)
    config, tensors = hub("KimiLinearForCausalLM", t.KimiLinearConfig(
        layer_types=["full_attention" if layer in whole else "linear_attention" for layer in range(27)]))
    return config, {name.replace("layers.0.block_sparse_moe.", "layers.0.mlp."): value for name, value in tensors.items()}


def dense(model, config, *numbers, **more):
    return lambda: hub(model, getattr(t, config)(**llama(*numbers, **more)))


# id: (title, where the numbers are from, builder). One line each.
MODELS = {
    "llama-1-7b": ("Llama 1 7B", "huggyllama/llama-7b", dense("LlamaForCausalLM", "LlamaConfig", 32000, 4096, 11008, 32, 32, 32)),
    "llama-2-70b": ("Llama 2 70B", "meta-llama/Llama-2-70b-hf", dense("LlamaForCausalLM", "LlamaConfig", 32000, 8192, 28672, 80, 64, 8)),
    "llama-3.1-8b": ("Llama 3.1 8B", "meta-llama/Llama-3.1-8B", lambda: hub("LlamaForCausalLM", t.LlamaConfig(**LLAMA3_8B))),
    "llama-3.2-1b": ("Llama 3.2 1B", "meta-llama/Llama-3.2-1B", dense("LlamaForCausalLM", "LlamaConfig", 128256, 2048, 8192, 16, 32, 8, head_dim=64, tie_word_embeddings=True)),
    "llama-4-scout": ("Llama 4 Scout 17B 16E", "meta-llama/Llama-4-Scout-17B-16E", lambda: llama4(16, 1)),
    "llama-4-maverick": ("Llama 4 Maverick 17B 128E", "meta-llama/Llama-4-Maverick-17B-128E", lambda: llama4(128, 2)),
    "qwen1.5-7b": ("Qwen1.5 7B", "Qwen/Qwen1.5-7B", dense("Qwen2ForCausalLM", "Qwen2Config", 151936, 4096, 11008, 32, 32, 32)),
    "qwen1.5-moe-a2.7b": ("Qwen1.5 MoE A2.7B", "Qwen/Qwen1.5-MoE-A2.7B", dense("Qwen2MoeForCausalLM", "Qwen2MoeConfig", 151936, 2048, 5632, 24, 16, 16, moe_intermediate_size=1408, shared_expert_intermediate_size=5632, num_experts=60)),
    "qwen2-7b": ("Qwen2 7B", "Qwen/Qwen2-7B", lambda: hub("Qwen2ForCausalLM", t.Qwen2Config(**QWEN2_7B))),
    "qwen2-57b-a14b": ("Qwen2 57B A14B", "Qwen/Qwen2-57B-A14B", dense("Qwen2MoeForCausalLM", "Qwen2MoeConfig", 151936, 3584, 18944, 28, 28, 4, moe_intermediate_size=2560, shared_expert_intermediate_size=20480, num_experts=64)),
    "qwen2-vl-7b": ("Qwen2-VL 7B", "Qwen/Qwen2-VL-7B-Instruct", lambda: hub("Qwen2VLForConditionalGeneration", t.Qwen2VLConfig(text_config=QWEN2_7B, vision_config=dict(depth=32, embed_dim=1280, num_heads=16, hidden_size=3584, patch_size=14)))),
    "qwen2.5-0.5b": ("Qwen2.5 0.5B", "Qwen/Qwen2.5-0.5B", dense("Qwen2ForCausalLM", "Qwen2Config", 151936, 896, 4864, 24, 14, 2, tie_word_embeddings=True)),
    "qwen2.5-vl-7b": ("Qwen2.5-VL 7B", "Qwen/Qwen2.5-VL-7B-Instruct", lambda: hub("Qwen2_5_VLForConditionalGeneration", t.Qwen2_5_VLConfig(text_config=QWEN2_7B, vision_config=dict(depth=32, hidden_size=1280, intermediate_size=3420, num_heads=16, out_hidden_size=3584, patch_size=14)))),
    "qwen3-8b": ("Qwen3 8B", "Qwen/Qwen3-8B", lambda: hub("Qwen3ForCausalLM", t.Qwen3Config(**QWEN3_8B))),
    "qwen3-30b-a3b": ("Qwen3 30B A3B", "Qwen/Qwen3-30B-A3B", lambda: hub("Qwen3MoeForCausalLM", t.Qwen3MoeConfig(**QWEN3_30B))),
    "qwen3-vl-8b": ("Qwen3-VL 8B", "Qwen/Qwen3-VL-8B-Instruct", lambda: hub("Qwen3VLForConditionalGeneration", t.Qwen3VLConfig(text_config=QWEN3_8B, vision_config=dict(QWEN3_VISION, out_hidden_size=4096)))),
    "qwen3-vl-30b-a3b": ("Qwen3-VL 30B A3B", "Qwen/Qwen3-VL-30B-A3B-Instruct", lambda: hub("Qwen3VLMoeForConditionalGeneration", t.Qwen3VLMoeConfig(text_config=QWEN3_30B, vision_config=dict(QWEN3_VISION, out_hidden_size=2048)))),
    "qwen3-next-80b-a3b": ("Qwen3-Next 80B A3B", "Qwen/Qwen3-Next-80B-A3B-Instruct", dense("Qwen3NextForCausalLM", "Qwen3NextConfig", 151936, 2048, 5120, 48, 16, 2, head_dim=256, moe_intermediate_size=512, shared_expert_intermediate_size=512, num_experts=512, linear_num_key_heads=16, linear_num_value_heads=32)),
    "yi-6b": ("Yi 6B", "01-ai/Yi-6B", dense("LlamaForCausalLM", "LlamaConfig", 64000, 4096, 11008, 32, 32, 4)),
    "deepseek-v2-lite": ("DeepSeek V2 Lite", "deepseek-ai/DeepSeek-V2-Lite", dense("DeepseekV2ForCausalLM", "DeepseekV2Config", 102400, 2048, 10944, 27, 16, 16, moe_intermediate_size=1408, n_shared_experts=2, n_routed_experts=64, kv_lora_rank=512, q_lora_rank=None, qk_rope_head_dim=64, v_head_dim=128, qk_nope_head_dim=128, first_k_dense_replace=1)),
    "deepseek-v2": ("DeepSeek V2", "deepseek-ai/DeepSeek-V2", dense("DeepseekV2ForCausalLM", "DeepseekV2Config", 102400, 5120, 12288, 60, 128, 128, moe_intermediate_size=1536, n_shared_experts=2, n_routed_experts=160, kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64, v_head_dim=128, qk_nope_head_dim=128, first_k_dense_replace=1)),
    "deepseek-v3": ("DeepSeek V3, R1 (FP8)", "deepseek-ai/DeepSeek-R1", lambda: deepseek_v3("fp8")),
    "gpt-oss-20b": ("gpt-oss 20B (bf16)", "openai/gpt-oss-20b", gpt_oss),
    "gpt-oss-20b-mxfp4": ("gpt-oss 20B (MXFP4, as decoded)", "openai/gpt-oss-20b", gpt_oss_mxfp4),
    "gpt2": ("GPT-2", "openai-community/gpt2", lambda: hub("GPT2LMHeadModel", t.GPT2Config(), torch.float32)),
    "gpt-neox-20b": ("GPT-NeoX 20B", "EleutherAI/gpt-neox-20b", lambda: hub("GPTNeoXForCausalLM", t.GPTNeoXConfig(vocab_size=50432, hidden_size=6144, num_hidden_layers=44, num_attention_heads=64, intermediate_size=24576), torch.float16)),
    "pythia-6.9b": ("Pythia 6.9B", "EleutherAI/pythia-6.9b", lambda: hub("GPTNeoXForCausalLM", t.GPTNeoXConfig(vocab_size=50432, hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, intermediate_size=16384), torch.float16)),
    "falcon-7b": ("Falcon 7B", "tiiuae/falcon-7b", lambda: hub("FalconForCausalLM", t.FalconConfig(vocab_size=65024, hidden_size=4544, num_hidden_layers=32, num_attention_heads=71, multi_query=True, parallel_attn=True, bias=False))),
    "falcon-40b": ("Falcon 40B", "tiiuae/falcon-40b", lambda: hub("FalconForCausalLM", t.FalconConfig(vocab_size=65024, hidden_size=8192, num_hidden_layers=60, num_attention_heads=128, num_kv_heads=8, new_decoder_architecture=True, bias=False))),
    "bloom-7b1": ("BLOOM 7B1", "bigscience/bloom-7b1", lambda: hub("BloomForCausalLM", t.BloomConfig(vocab_size=250880, hidden_size=4096, n_layer=30, n_head=32), torch.float16)),
    "mistral-7b": ("Mistral 7B v0.3", "mistralai/Mistral-7B-v0.3", dense("MistralForCausalLM", "MistralConfig", 32768, 4096, 14336, 32, 32, 8)),
    "mixtral-8x7b": ("Mixtral 8x7B", "mistralai/Mixtral-8x7B-v0.1", dense("MixtralForCausalLM", "MixtralConfig", 32000, 4096, 14336, 32, 32, 8, num_local_experts=8)),
    "mistral-small-3.1": ("Mistral Small 3.1 24B", "mistralai/Mistral-Small-3.1-24B-Instruct-2503", lambda: vision_language("Mistral3ForConditionalGeneration", "Mistral3Config", llama(131072, 5120, 32768, 40, 32, 8, head_dim=128), dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=1540, patch_size=14), "mistral", "pixtral", multimodal_projector_bias=False, spatial_merge_size=2)),
    "phi-2": ("Phi-2", "microsoft/phi-2", dense("PhiForCausalLM", "PhiConfig", 51200, 2560, 10240, 32, 32, 32)),
    "phi-3-mini": ("Phi-3 mini", "microsoft/Phi-3-mini-4k-instruct", dense("Phi3ForCausalLM", "Phi3Config", 32064, 3072, 8192, 32, 32, 32)),
    "phi-3.5-moe": ("Phi-3.5 MoE", "microsoft/Phi-3.5-MoE-instruct", dense("PhimoeForCausalLM", "PhimoeConfig", 32064, 4096, 6400, 32, 32, 8, num_local_experts=16, attention_bias=True, lm_head_bias=True)),
    "phi-4": ("Phi-4", "microsoft/phi-4", dense("Phi3ForCausalLM", "Phi3Config", 100352, 5120, 17920, 40, 40, 10, pad_token_id=0)),
    "gemma-7b": ("Gemma 7B", "google/gemma-7b", dense("GemmaForCausalLM", "GemmaConfig", 256000, 3072, 24576, 28, 16, 16, head_dim=256)),
    "gemma-2-9b": ("Gemma 2 9B", "google/gemma-2-9b", dense("Gemma2ForCausalLM", "Gemma2Config", 256000, 3584, 14336, 42, 16, 8, head_dim=256)),
    "gemma-3-1b": ("Gemma 3 1B", "google/gemma-3-1b-pt", dense("Gemma3ForCausalLM", "Gemma3TextConfig", 262144, 1152, 6912, 26, 4, 1, head_dim=256)),
    "gemma-3-4b": ("Gemma 3 4B", "google/gemma-3-4b-pt", lambda: vision_language("Gemma3ForConditionalGeneration", "Gemma3Config", llama(262208, 2560, 10240, 34, 8, 4, head_dim=256), dict(SO400M, image_size=896, patch_size=14, vision_use_head=False), "gemma3_text", "siglip_vision_model", mm_tokens_per_image=256)),
    "minicpm3-4b": ("MiniCPM3 4B", "openbmb/MiniCPM3-4B", dense("MiniCPM3ForCausalLM", "MiniCPM3Config", 73448, 2560, 6400, 62, 40, 40, q_lora_rank=768, kv_lora_rank=256, qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64)),
    "llava-1.5-7b": ("LLaVA 1.5 7B", "llava-hf/llava-1.5-7b-hf", lambda: vision_language("LlavaForConditionalGeneration", "LlavaConfig", llama(32064, 4096, 11008, 32, 32, 32), CLIP_L_336, "llama", "clip_vision_model")),
    "llava-next-mistral-7b": ("LLaVA-NeXT Mistral 7B", "llava-hf/llava-v1.6-mistral-7b-hf", lambda: vision_language("LlavaNextForConditionalGeneration", "LlavaNextConfig", llama(32064, 4096, 14336, 32, 32, 8), CLIP_L_336, "mistral", "clip_vision_model")),
    "internvl3-8b-hf": ("InternVL3 8B (transformers' names)", "OpenGVLab/InternVL3-8B-hf", lambda: vision_language("InternVLForConditionalGeneration", "InternVLConfig", llama(151674, 3584, 18944, 28, 28, 4), dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=[448, 448], patch_size=[14, 14], attention_bias=True, use_qk_norm=False, norm_type="layer_norm"), "qwen2", "internvl_vision")),
    "glm-4-9b-hf": ("GLM-4 9B", "THUDM/glm-4-9b-chat-hf", dense("GlmForCausalLM", "GlmConfig", 151552, 4096, 13696, 40, 32, 2, head_dim=128, attention_bias=True)),
    "glm-4-9b-0414": ("GLM-4 9B 0414", "zai-org/GLM-4-9B-0414", dense("Glm4ForCausalLM", "Glm4Config", 151552, 4096, 13696, 40, 32, 2, head_dim=128, attention_bias=True)),
    "glm-4.1v-9b": ("GLM-4.1V 9B", "zai-org/GLM-4.1V-9B-Thinking", lambda: hub("Glm4vForConditionalGeneration", t.Glm4vConfig(text_config=llama(151552, 4096, 13696, 40, 32, 2, attention_bias=True), vision_config=dict(depth=24, hidden_size=1536, num_heads=12, intermediate_size=13696, out_hidden_size=4096, patch_size=14, image_size=336)))),
    "glm-4.5-air": ("GLM-4.5 Air", "zai-org/GLM-4.5-Air", glm45_air),
    "glm-4.7-flash": ("GLM-4.7 Flash", "zai-org/GLM-4.7-Flash", dense("Glm4MoeLiteForCausalLM", "Glm4MoeLiteConfig", 154880, 2048, 10240, 47, 20, 20, moe_intermediate_size=1536, n_routed_experts=64, n_shared_experts=1, q_lora_rank=768, kv_lora_rank=512, qk_nope_head_dim=192, qk_rope_head_dim=64, v_head_dim=256)),
    "kimi-k2": ("Kimi K2 (decoded to bf16)", "moonshotai/Kimi-K2-Instruct", lambda: hub("DeepseekV3ForCausalLM", t.DeepseekV3Config(**KIMI_K2))),
    "kimi-k2.5": ("Kimi K2.5", "moonshotai/Kimi-K2.5", kimi_k25),
    "kimi-linear": ("Kimi Linear 48B A3B", "moonshotai/Kimi-Linear-48B-A3B-Instruct", kimi_linear),
    "bert-base": ("BERT base", "google-bert/bert-base-uncased", bert),
    "roberta-base": ("RoBERTa base", "FacebookAI/roberta-base", lambda: hub("RobertaForMaskedLM", t.RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1), torch.float32)),
    "clip-vit-l-14": ("CLIP ViT-L/14", "openai/clip-vit-large-patch14", lambda: hub("CLIPModel", t.CLIPConfig(text_config=dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, projection_dim=768), vision_config=dict(CLIP_L_336, image_size=224), projection_dim=768), torch.float32)),
    "siglip-so400m": ("SigLIP so400m/14 384", "google/siglip-so400m-patch14-384", lambda: hub("SiglipModel", t.SiglipConfig(text_config=SO400M, vision_config=dict(SO400M, image_size=384, patch_size=14)), torch.float32)),
    "whisper-large-v3": ("Whisper large v3", "openai/whisper-large-v3", lambda: hub("WhisperForConditionalGeneration", t.WhisperConfig(vocab_size=51866, d_model=1280, encoder_layers=32, decoder_layers=32, encoder_attention_heads=20, decoder_attention_heads=20, encoder_ffn_dim=5120, decoder_ffn_dim=5120, num_mel_bins=128), torch.float16)),
}

T5_XXL = dict(vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")

