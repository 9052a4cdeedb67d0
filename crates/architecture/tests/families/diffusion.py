"""Diffusion models whose classes are in diffusers: components, and pipelines made of them.

Every number is from the `config.json` of the repository that is named with it; what is not written is the class's default.
"""

import diffusers as d
import torch
import transformers as t

import published
from inventory import TYPES


def part(model, **config):
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        built = getattr(d, model)(**config)
    torch.set_default_dtype(torch.float32)
    own = {name for name, _ in built.named_parameters()} | {name for name, _ in built.named_buffers()}
    return {name: (TYPES[str(value.dtype)], tuple(value.shape)) for name, value in built.state_dict().items() if name in own}


def encoder(model, prefix="", **config):
    """An encoder of text or images. CLIP's files keep the prefix that its classes have since dropped."""
    kind = next(kind for kind in ("CLIPText", "CLIPVision", "T5", "UMT5", "Llama") if model.startswith(kind))
    settings, tensors = published.hub(model, getattr(t, kind + "Config")(**config))
    return lambda: (settings, {name if name.startswith(prefix) else prefix + name: value for name, value in tensors.items()})


def alone(model, **config):
    return lambda: (config, part(model, **config))


UNET_15 = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
UNET_XL = dict(sample_size=128, block_out_channels=(320, 640, 1280), transformer_layers_per_block=[1, 2, 10],
               down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
               up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=[5, 10, 20],
               cross_attention_dim=2048, addition_embed_type="text_time", addition_time_embed_dim=256,
               projection_class_embeddings_input_dim=2816, use_linear_projection=True)
VAE = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4,
           up_block_types=("UpDecoderBlock2D",) * 4)
FLUX = dict(patch_size=1, in_channels=64, num_layers=19, num_single_layers=38, attention_head_dim=128, num_attention_heads=24,
            joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=True)
SD35 = dict(num_layers=38, num_attention_heads=38, attention_head_dim=64, joint_attention_dim=4096, caption_projection_dim=2432,
            pooled_projection_dim=2048, out_channels=16, in_channels=16, pos_embed_max_size=192, qk_norm="rms_norm")
WAN_14B = dict(num_attention_heads=40, attention_head_dim=128, ffn_dim=13824, num_layers=40, text_dim=4096)


WAN_I2V = dict(WAN_14B, in_channels=36, image_dim=1280, added_kv_proj_dim=5120)
UMT5_XXL = dict(published.T5_XXL, vocab_size=256384)
CLIP_L = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12)
CLIP_G = dict(hidden_size=1280, intermediate_size=5120, num_attention_heads=20, num_hidden_layers=32, projection_dim=1280)
CLIP_H = dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, patch_size=14, image_size=224)
COG_5B = dict(num_attention_heads=48, num_layers=42, use_rotary_positional_embeddings=True)


def later(make, *arguments, **config):
    return lambda: make(*arguments, **config)()


SD, XL, SD3, FLUX_REPO = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "stabilityai/stable-diffusion-xl-base-1.0",
                          "stabilityai/stable-diffusion-3.5-large", "black-forest-labs/FLUX.1-dev")
WAN, WAN_I, WAN_22 = "Wan-AI/Wan2.1-T2V-14B-Diffusers", "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers", "Wan-AI/Wan2.2-T2V-A14B-Diffusers"
HUNYUAN, COG_2, COG_5 = "hunyuanvideo-community/HunyuanVideo", "THUDM/CogVideoX-2b", "THUDM/CogVideoX-5b"

# One component each: (title, where the numbers are from, builder).
MODELS = {
    "sd-1.5-unet": ("Stable Diffusion 1.5 U-Net", SD, alone("UNet2DConditionModel", **UNET_15)),
    "sd-vae": ("Stable Diffusion autoencoder", SD, alone("AutoencoderKL", **VAE)),
    "clip-l-text": ("CLIP ViT-L/14 text encoder", SD, later(encoder, "CLIPTextModel", "text_model.", **CLIP_L)),
    "sdxl-unet": ("Stable Diffusion XL U-Net", XL, alone("UNet2DConditionModel", **UNET_XL)),
    "clip-g-text": ("OpenCLIP ViT-bigG/14 text encoder", XL, later(encoder, "CLIPTextModelWithProjection", **CLIP_G)),
    "sd-3.5-transformer": ("Stable Diffusion 3.5 transformer", SD3, alone("SD3Transformer2DModel", **SD35)),
    "clip-l-text-projected": ("CLIP ViT-L/14 text encoder with projection", SD3, later(encoder, "CLIPTextModelWithProjection", **CLIP_L, projection_dim=768)),
    "flux-vae": ("FLUX.1 and Stable Diffusion 3.5 autoencoder", FLUX_REPO, alone("AutoencoderKL", **VAE, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False)),
    "t5-xxl-encoder": ("T5 v1.1 XXL encoder", FLUX_REPO, later(encoder, "T5EncoderModel", **published.T5_XXL)),
    "flux.1-dev-transformer": ("FLUX.1 dev transformer", FLUX_REPO, alone("FluxTransformer2DModel", **FLUX)),
    "wan2.1-t2v-transformer": ("Wan 2.1 text-to-video 14B transformer", WAN, alone("WanTransformer3DModel", **WAN_14B)),
    "wan2.1-i2v-transformer": ("Wan 2.1 image-to-video 14B transformer", WAN_I, alone("WanTransformer3DModel", **WAN_I2V)),
    "wan2.1-vae": ("Wan 2.1 autoencoder", WAN, alone("AutoencoderKLWan")),
    "umt5-xxl-encoder": ("UMT5 XXL encoder", WAN, later(encoder, "UMT5EncoderModel", **UMT5_XXL)),
    "clip-h-vision": ("CLIP ViT-H/14 image encoder", WAN_I, later(encoder, "CLIPVisionModel", "vision_model.", **CLIP_H)),
    "hunyuanvideo-transformer": ("HunyuanVideo transformer", HUNYUAN, alone("HunyuanVideoTransformer3DModel")),
    "hunyuanvideo-vae": ("HunyuanVideo autoencoder", HUNYUAN, alone("AutoencoderKLHunyuanVideo")),
    "hunyuanvideo-text": ("HunyuanVideo text encoder (Llama 3 8B)", HUNYUAN, later(encoder, "LlamaModel", **dict(published.LLAMA3_8B, vocab_size=128320))),
    "cogvideox-2b-transformer": ("CogVideoX 2B transformer", COG_2, alone("CogVideoXTransformer3DModel", num_attention_heads=30, num_layers=30)),
    "cogvideox-5b-transformer": ("CogVideoX 5B transformer", COG_5, alone("CogVideoXTransformer3DModel", **COG_5B)),
    "cogvideox-vae": ("CogVideoX autoencoder", COG_5, alone("AutoencoderKLCogVideoX")),
}

# Components by folder, each tensor under its folder's name.
PIPELINES = {
    "sd-1.5": ("Stable Diffusion 1.5 pipeline", SD, {"unet": "sd-1.5-unet", "vae": "sd-vae", "text_encoder": "clip-l-text"}),
    "sdxl": ("Stable Diffusion XL pipeline", XL, {"unet": "sdxl-unet", "vae": "sd-vae", "text_encoder": "clip-l-text", "text_encoder_2": "clip-g-text"}),
    "sd-3.5-large": ("Stable Diffusion 3.5 pipeline", SD3, {"transformer": "sd-3.5-transformer", "vae": "flux-vae", "text_encoder": "clip-l-text-projected", "text_encoder_2": "clip-g-text", "text_encoder_3": "t5-xxl-encoder"}),
    "flux.1-dev": ("FLUX.1 dev pipeline", FLUX_REPO, {"transformer": "flux.1-dev-transformer", "vae": "flux-vae", "text_encoder": "clip-l-text", "text_encoder_2": "t5-xxl-encoder"}),
    "wan2.1-t2v-14b": ("Wan 2.1 text-to-video pipeline", WAN, {"transformer": "wan2.1-t2v-transformer", "vae": "wan2.1-vae", "text_encoder": "umt5-xxl-encoder"}),
    "wan2.1-i2v-14b": ("Wan 2.1 image-to-video pipeline", WAN_I, {"transformer": "wan2.1-i2v-transformer", "vae": "wan2.1-vae", "text_encoder": "umt5-xxl-encoder", "image_encoder": "clip-h-vision"}),
    "wan2.2-t2v-a14b": ("Wan 2.2 text-to-video pipeline", WAN_22, {"transformer": "wan2.1-t2v-transformer", "transformer_2": "wan2.1-t2v-transformer", "vae": "wan2.1-vae", "text_encoder": "umt5-xxl-encoder"}),
    "hunyuanvideo": ("HunyuanVideo pipeline", HUNYUAN, {"transformer": "hunyuanvideo-transformer", "vae": "hunyuanvideo-vae", "text_encoder": "hunyuanvideo-text", "text_encoder_2": "clip-l-text"}),
    "cogvideox-2b": ("CogVideoX 2B pipeline", COG_2, {"transformer": "cogvideox-2b-transformer", "vae": "cogvideox-vae", "text_encoder": "t5-xxl-encoder"}),
    "cogvideox-5b": ("CogVideoX 5B pipeline", COG_5, {"transformer": "cogvideox-5b-transformer", "vae": "cogvideox-vae", "text_encoder": "t5-xxl-encoder"}),
}
