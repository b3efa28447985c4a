#!/usr/bin/env bash
# Measures the effect of each part of the search. The tables are in book/src/log.md.
#
#   MODEL=DIR benches/search.sh SEARCH_TEXT TEST_TEXT OUT
#
# SEARCH_TEXT is a long text to search on and TEST_TEXT another one to judge on. MODEL is a checkpoint with a window of
# 256 tokens, by default the bundled one. It takes an hour on two cores. Parts that are already in OUT are not repeated.
set -euo pipefail
text=$1 test=$2 out=$3
model=${MODEL:-crates/longrope/assets/tiny-llama-256}
searches=${SEARCHES:-official,fast}
longrope=${LONGROPE:-target/release/longrope}
small=(--samples 2 --set search.population=24 --set search.parents=10 --set search.mutations=8
    --set search.crossovers=8)
mkdir -p "$out"

run() { # name, verb and flags: runs the verb once and keeps its output
    local name=$1
    shift
    if [[ ! -f $out/$name.txt ]]; then
        "$longrope" "$@" --model "$model" --text "$text" --out "$out/$name" > "$out/$name.partial"
        mv "$out/$name.partial" "$out/$name.txt"
    fi
    printf '\n== %s\n' "$name"
    cat "$out/$name.txt"
}

judge() { # contexts and ropes: perplexity on the test text
    local contexts=$1
    shift
    "$longrope" compare --model "$model" --text "$test" --contexts "$contexts" --windows 64 --rope "$@"
}

echo "== operators of the released code"
cargo run --quiet --release --example official_operators
echo "== proposals, on formulas"
cargo run --quiet --release --example search_proposals
echo "== efficiency"
cargo run --quiet --release --example search_efficiency -- --model "$model" --text "$text" \
    --out "$out/efficiency" --seeds 1,2,3 --searches "$searches"

# Two stages (1,024, then ratios to 4,096) against 4,096 at once. 200 evaluations of 4,096 tokens each.
run first search --target 1024 --profile fast "${small[@]}" --set search.generations=10
run ratios search --target 4096 --profile fast "${small[@]}" --set search.generations=10 \
    --init "$out/first/rope.json" --stage ratios
run one-shot search --target 4096 --profile fast "${small[@]}" --set search.generations=10
judge 4096 "$out/ratios/rope.json" "$out/one-shot/rope.json"

# The combined objective, and LongRoPE2's search. The needle words are those of the configurations.
run combined search --config configs/tiny-combined.toml
run v2 search --config configs/tiny-v2.toml
judge 256,512,1024,2048 "$out/combined/rope.json" "$out/v2/rope.json"
"$longrope" eval passkey --model "$model" --contexts 512,1024,2048 --trials 200 \
    --rope none ntk yarn "$out/combined/rope.json" "$out/v2/rope.json"

# Short contexts under the factors for 2,048 alone, as after fine-tuning.
run long search --target 2048 --profile fast "${small[@]}" --set search.generations=10
python3 - "$out/long/rope.json" "$out/long-only.json" <<'EOF'
import json, sys
rope = json.load(open(sys.argv[1]))
rope["scaling"]["sets"] = rope["scaling"]["sets"][-1:]
json.dump(rope, open(sys.argv[2], "w"))
EOF
run recover recover --rope "$out/long-only.json" --contexts 256,512 --profile fast --samples 5 \
    --set search.generations=8
judge 256,512 "$out/long-only.json" "$out/recover/rope.json"
