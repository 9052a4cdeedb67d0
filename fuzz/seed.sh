#!/bin/sh
# Copies the golden files and the attacks into the seed corpora of the fuzz targets.
set -eu
cd "$(dirname "$0")"
golden=../crates/formats/tests/golden
attacks=../attacks
for target in torch_zip pickle gguf safetensors shard_map config tokenizer decode packed sketch; do
    mkdir -p "corpus/$target"
done
cp "$golden"/*.safetensors corpus/safetensors/
cp "$golden"/*.gguf corpus/gguf/
cp "$golden"/*.gguf corpus/decode/
cp "$golden"/*.pt corpus/torch_zip/
cp "$golden"/*.pt corpus/pickle/
[ ! -d "$attacks/safetensors" ] || cp "$attacks"/safetensors/* corpus/safetensors/
[ ! -d "$attacks/gguf" ] || cp "$attacks"/gguf/* corpus/gguf/
[ ! -d "$attacks/torch" ] || cp "$attacks"/torch/* corpus/torch_zip/
[ ! -d "$attacks/shards" ] || cp "$attacks"/shards/* corpus/shard_map/
[ ! -d "$attacks/json" ] || cp "$attacks"/json/* corpus/config/
# The pickles inside archives are better seeds for the pickle target than the archives.
for archive in corpus/torch_zip/*.pt; do
    python3 - "$archive" "corpus/pickle/$(basename "$archive").pkl" <<'PYTHON' 2> /dev/null || true
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
open(sys.argv[2], "wb").write(archive.read(name))
PYTHON
done
[ ! -d "$attacks/json" ] || cp "$attacks"/json/*.tokenizer.json corpus/tokenizer/
printf '{"weight_map":{"a":"model.safetensors"},"metadata":{"total_size":8}}' > corpus/shard_map/plain
printf '{"a":{"b":[1,"x",null,true]},"auto_map":{"AutoModel":"m.M"}}' > corpus/config/plain
printf -- '---\nbase_model:\n- a/b\nlicense: mit\n---\n' > corpus/config/card
printf '{"model":{"type":"BPE","vocab":{"a":0}},"added_tokens":[{"id":1,"content":"b"}]}' > corpus/tokenizer/bpe
printf '{"model":{"type":"Unigram","vocab":[["a",0.5]]}}' > corpus/tokenizer/unigram
# One inventory of each packed scheme: its number, then what its extents and contents are drawn from.
for scheme in 0 1 2 3 4 5 6 7; do
    { printf "\\$(printf %o $((80 + scheme)))"; head -c 400 ../attacks/make.py; } > "corpus/packed/$scheme"
done
# A sketch without its checksum, which the target appends.
if stemmata=$(command -v stemmata || ls ../target/release/stemmata 2> /dev/null); then
    "$stemmata" sketch ../fixtures/models/gpt2-tiny -o - -q | head -c -8 > corpus/sketch/gpt2-tiny
fi
