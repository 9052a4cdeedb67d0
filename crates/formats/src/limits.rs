//! Bounds on untrusted input. Each is far above what honest files need and far below what hurts.

/// Bounds that readers enforce before they allocate or loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a safetensors header (the reference allows 100 MB, of which nothing honest uses a third).
    pub header_bytes: u64,
    /// Bytes of the key-value section of a GGUF file.
    pub kv_bytes: u64,
    /// Keys of a GGUF file.
    pub kv_entries: u64,
    /// Bytes of one key or of one text value that is kept; longer values are skipped and reported.
    pub value_bytes: u64,
    /// Tensors in one file or one shard map.
    pub tensors: u64,
    /// Bytes of one tensor name.
    pub name_bytes: usize,
    /// Dimensions of one tensor.
    pub rank: usize,
    /// Bytes of one pickle.
    pub pickle_bytes: u64,
    /// Opcodes of one pickle.
    pub pickle_opcodes: u64,
    /// Values that one pickle may build, and steps of the walk over its result.
    pub pickle_nodes: u64,
    /// Nesting of marks in a pickle and of containers in its result.
    pub pickle_depth: usize,
    /// How often a strided view may repeat its storage, once it has more than 2^24 elements.
    pub expansion: u64,
    /// Entries of a zip archive.
    pub zip_entries: u64,
    /// Bytes of the central directory of a zip archive.
    pub zip_directory_bytes: u64,
    /// How many times its size a deflated entry may become, once it has more than `inflated_bytes`.
    pub inflation: u64,
    /// Bytes that any deflated entry may become.
    pub inflated_bytes: u64,
    /// Bytes of values that are held because no range of the file holds them as they are.
    pub held_bytes: u64,
    /// Files of external data of one model.
    pub external_files: u64,
    /// Nesting of JSON.
    pub json_depth: usize,
    /// Bytes of a configuration file.
    pub config_bytes: u64,
    /// Keys of a configuration file after flattening.
    pub config_entries: usize,
    /// Items of a list that is kept in a configuration; longer lists are dropped.
    pub list_items: usize,
    /// Items of all lists that are kept from one file.
    pub kept_items: usize,
    /// Bytes of a tokenizer file or of a shard map.
    pub document_bytes: u64,
    /// Tokens of a vocabulary.
    pub tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_bytes: 32 << 20,
            kv_bytes: 256 << 20,
            kv_entries: 100_000,
            value_bytes: 1 << 20,
            tensors: 200_000,
            name_bytes: 512,
            rank: 16,
            pickle_bytes: 100 << 20,
            pickle_opcodes: 20_000_000,
            // About 15 values a tensor: room for 250 000 tensors within some 200 MiB.
            pickle_nodes: 4_000_000,
            pickle_depth: 1000,
            expansion: 16,
            zip_entries: 400_000,
            zip_directory_bytes: 64 << 20,
            // Weights halve at best; the method allows for a thousandfold.
            inflation: 100,
            inflated_bytes: 64 << 20,
            held_bytes: 64 << 20,
            external_files: 4096,
            json_depth: 64,
            config_bytes: 16 << 20,
            config_entries: 100_000,
            list_items: 4096,
            kept_items: 1 << 20,
            document_bytes: 256 << 20,
            tokens: 4_000_000,
        }
    }
}
