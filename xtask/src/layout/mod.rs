//! How a model is laid out on disk: tensor names, containers, tokenizer tables, cards.
//!
//! Must not know: how the numbers came about.

pub(crate) mod array;
#[cfg(feature = "train")]
pub(crate) mod directory;
pub(crate) mod gguf;
pub(crate) mod llama_cpp;
pub(crate) mod renamed;

/// The special token that starts a text.
pub(crate) const BEGIN: &str = "<|begin_of_text|>";
/// The special token that ends a text.
pub(crate) const END: &str = "<|end_of_text|>";
/// Before the visual tokens.
pub(crate) const IMAGE_BEGIN: &str = "<image>";
/// After the visual tokens.
pub(crate) const IMAGE_END: &str = "</image>";
/// Special tokens of text-only models.
pub(crate) const TEXT_SPECIALS: &[&str] = &[BEGIN, END];
/// Special tokens of vision-language models.
pub(crate) const VISION_SPECIALS: &[&str] = &[BEGIN, END, IMAGE_BEGIN, IMAGE_END, "<unk>", "<pad>"];
