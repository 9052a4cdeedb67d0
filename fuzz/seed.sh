#!/bin/sh
# Copies the golden files and the attacks into the seed corpora of the fuzz targets.
set -eu
cd "$(dirname "$0")"
golden=../crates/formats/tests/golden
attacks=../attacks
for target in torch_zip pickle gguf safetensors shard_map config tokenizer decode packed npz onnx msgpack template sketch votes parquet tables; do
    mkdir -p "corpus/$target"
done
cp "$golden"/*.safetensors corpus/safetensors/
cp "$golden"/*.gguf corpus/gguf/
cp "$golden"/*.gguf corpus/decode/
cp "$golden"/*.pt corpus/torch_zip/
cp "$golden"/*.pt corpus/pickle/
cp "$golden"/*.npy "$golden"/*.npz "$attacks"/numpy/* corpus/npz/
cp "$golden"/*.onnx "$attacks"/onnx/* corpus/onnx/
cp "$golden"/*.msgpack "$attacks"/msgpack/* corpus/msgpack/
cp "$attacks"/templates/* corpus/template/
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
printf '\001model_a,model_b,winner,count,user\n"a ""x""",b,tie (bothbad),3,u\nb,"a ""x""",model_a,1,v\n' > corpus/votes/arena
printf '\000left\tright\twinner\na\tb\tleft\nb\ta\ttie\n' > corpus/votes/sides
printf '\006{"model_a":"x","model_b":"y","winner":"model_b","meta":{"a":{"h1":2}},"b":1}\n' > corpus/votes/json
printf '\010model_a_name,model_b_name,chosen_model_name,both_equal\na,b,,True\na,b,a,False\n' > corpus/votes/comparia
for file in ../crates/rating/tests/parquet/*.parquet; do
    { printf '\007'; cat "$file"; } > "corpus/parquet/$(basename "$file")"
    { printf '\000'; cat "$file"; } > "corpus/parquet/$(basename "$file").plain"
done
printf 'model,task,harness,score,items,date\na,t,h,0.5,10,2025-01-01\nb,t,h,0.6,10,\nc,t,h,0.4,10,\na,u,h,0.7,9,\nb,u,h,0.6,9,\nc,u,h,0.3,9,\na,v,h,0.2,9,\nb,v,h,0.4,9,\nc,v,h,0.1,9,\n' > corpus/tables/scores
printf '{"full":{"x":{"rating":10,"rating_q975":12,"rating_q025":8}}}' > corpus/tables/catalogue
printf '[{"model_api_name":"x","organization":"o","license":"MIT","released":"2025"}]' > corpus/tables/models
printf '# c\nhf_org,region,notes\n01-ai,china,\n' > corpus/tables/regions
printf '{"schema_version":"1.0.0","inputs":[{"role":"candidate","ref":"a"},{"role":"reference","ref":"b"}],"verdict":{"kind":"derived","tier":"exact","direction":"unknown"}}' > corpus/tables/report
# One inventory of each packed scheme: its number, then what its extents and contents are drawn from.
for scheme in 0 1 2 3 4 5 6 7 8 9 10; do
    { printf "\\$(printf %o $((88 + scheme)))"; head -c 400 ../attacks/make.py; } > "corpus/packed/$scheme"
done
# A sketch without its checksum, which the target appends.
if stemmata=$(command -v stemmata || ls ../target/release/stemmata 2> /dev/null); then
    "$stemmata" sketch ../fixtures/models/gpt2-tiny -o - -q | head -c -8 > corpus/sketch/gpt2-tiny
fi
