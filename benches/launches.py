"""Counts the kernel launches of a decoder layer on a GPU backend, and sets its work against the roofline of a GPU.

    cargo build --release --features wgpu
    python benches/launches.py                    # on Mesa's software driver; half an hour of two cores
    python benches/launches.py --formulas         # the table of work alone

Two random models that differ by one layer are measured, trained below adapters and trained in full, with CubeCL's log of
launches. A pass repeats the same launches, so the last two passes of the log show which belong to one; the difference between
the two models is that of one layer. FLOPs and bytes come from formulas: `least` moves every operand once between memory and
chip, `today` counts the passes over memory that the launches make.
"""

import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "crates/longrope/assets/tiny-llama-256"
TEXT = ROOT / "book/src/log.md"
WINDOW = 256
BATCH = 8  # windows that `eval ppl` measures at once: a chunk of 2,048 rows

# Launches after the last pass.
MOST_AFTER = 400

TASKS = {"evaluation": "evaluation", "adapters": "step, adapters", "full": "step, all weights"}

# Floating-point operations per second of the matrix units in bf16, and bytes per second of the memory.
GPUS = {"A100": (312e12, 2.04e12), "H100": (989e12, 3.35e12)}
# An 8B model: streams, queries, keys, MLP, heads.
H, Q, K, I, HEADS = 4096, 4096, 1024, 14336, 32
# Bytes of a block of scores of all heads on a GPU, and rows and keys of such a block.
BLOCK_BYTES = 256 << 20
BLOCK = int((BLOCK_BYTES / (4 * HEADS)) ** 0.5) // 128 * 128
# Bytes per score, element of queries and element of keys that a block of attention reads and writes. Forward: scores written and
# read in f32 (once; the second time they are in the cache), weights written and read in bf16; queries read, the weighted sum written
# and added; keys and values read.
FORWARD = (2 * 4 + 2 * 2, 2 + 4 * 4, 2 * 2)
# Gradients: scores and gradients of weights written and read in f32; weights and gradients of scores written in bf16, read by three
# products; queries and gradients of the output read twice, gradients of queries written and added; keys read twice, values once,
# their gradients written and added.
GRADIENTS = (4 * 4 + 2 * 2 + 3 * 2, 4 * 2 + 4 * 4, 3 * 2 + 2 * 4 * 4)


def checkpoint(folder: Path, layers: int) -> None:
    """A small LLaMA checkpoint whose weights are all 0.02."""
    hidden, inner, heads, key_heads, vocab = 256, 512, 4, 2, 1024
    folder.mkdir()
    config = {
        "model_type": "llama", "hidden_act": "silu", "hidden_size": hidden, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": key_heads, "vocab_size": vocab,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 256, "tie_word_embeddings": True,
        "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, folder / name)
    width = hidden // heads * key_heads
    shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    for layer in range(layers):
        maps = {
            "input_layernorm": [hidden], "post_attention_layernorm": [hidden], "self_attn.q_proj": [hidden, hidden],
            "self_attn.k_proj": [width, hidden], "self_attn.v_proj": [width, hidden], "self_attn.o_proj": [hidden, hidden],
            "mlp.gate_proj": [inner, hidden], "mlp.up_proj": [inner, hidden], "mlp.down_proj": [hidden, inner],
        }
        shapes.update({f"model.layers.{layer}.{name}.weight": shape for name, shape in maps.items()})
    header, end, data = {}, 0, bytearray()
    for index, (name, shape) in enumerate(shapes.items()):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        # No two rows are alike, so that no loss is exactly zero.
        values = [0.02 * (((i * 7 + index * 13) % 101) / 50 - 1) if len(shape) > 1 else 1.0 for i in range(count)]
        data += struct.pack(f"<{count}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))


def one_pass(log: Path, least: int = 20) -> Counter:
    """The launches of the last pass: those of the shortest part near the end of the log that the log has twice.

    It has at least `least` launches, as equal layers repeat too."""
    names = [line.removeprefix("Executing ").strip() for line in log.read_text().splitlines() if line.startswith("Executing ")]
    names = [name for name in names if not re.match(r"LaunchOverhead|\w*Throughput|PrimeBuffer", name)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    sequence = [numbers[name] for name in names]
    for length in range(least, len(sequence) // 2):
        # What is saved after the last pass has launches of its own.
        for end in range(len(sequence), max(2 * length, len(sequence) - MOST_AFTER) - 1, -1):
            last = sequence[end - length:end]
            if last == sequence[end - 2 * length:end - length] and len(set(last)) > 4:
                return Counter(kind(name) for name in names[end - length:end])
    sys.exit(f"{log}: the launches do not repeat")


def kind(name: str) -> str:
    """A readable name of a kernel."""
    first = re.split(r"[ _|]", name)[0]
    return {
        "MatmulEntry": "matrix products", "ElemwiseFuse": "element-wise, fused", "ReduceKernel": "reductions",
        "ReduceKernelFused": "reductions, fused", "ReduceKernelBroadcasted": "reductions, fused",
        "FullKernel": "filling", "MaskFillKernel": "mask", "SharedSumKernel": "sums",
        "ForwardKernel": "normalization", "BackwardKernel": "normalization", "BackwardOfWeightKernel": "normalization",
        "RotateKernel": "rotation", "WeightsKernel": "softmax of scores", "GradientsKernel": "gradients of scores or logits",
        "LossesKernel": "losses",
    }.get(first, "copies and others" if re.match(r"Copy|Slice|Unary|Kernel|Select|Scatter|Gather", first) else first)


def measured(program: Path, device: str, tasks: list) -> dict:
    work = Path(tempfile.mkdtemp(prefix="launches-"))
    counts: dict = {}
    for layers in (1, 2):
        checkpoint(work / f"model-{layers}", layers)
    for task in tasks:
        for layers in (1, 2):
            model = work / f"model-{layers}"
            folder = work / f"{task}-{layers}"
            folder.mkdir()
            log = folder / "launches.log"
            (folder / "cubecl.toml").write_text(f'[profiling.logger]\nlevel = "minimal"\nfile = "{log}"\n')
            if task == "evaluation":
                command = ["eval", "ppl", model, "--contexts", WINDOW, "--windows", 4 * BATCH]
            else:
                command = ["finetune", model, "--rope", f"yarn@{2 * WINDOW}", "--context", WINDOW, "--steps", 4, "--out", "run"]
                command += ["--dashboard", "off", "--set", "train.warmup-steps=1", "--set", "train.accumulate=1"]
                command += ["--set", "train.save-every=100", *(["--lora"] if task == "adapters" else [])]
            command = [str(word) for word in [program.resolve(), *command, "--text", TEXT, "--device", device]]
            environment = {**os.environ, "CUBECL_AUTOTUNE_LEVEL": "minimal", "XDG_RUNTIME_DIR": str(work)}
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                sys.exit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
            fewer = sum(counts[task, 1].values()) if layers == 2 else 20
            counts[task, layers] = one_pass(log, fewer)
            print(f"# {task}, {layers} layers: {dict(counts[task, layers])}", file=sys.stderr, flush=True)
    shutil.rmtree(work)
    return counts


def launch_table(counts: dict) -> str:
    tasks = [task for task in TASKS if (task, 1) in counts]
    layer = {task: counts[task, 2] - counts[task, 1] for task in tasks}
    less = {task: counts[task, 1] - counts[task, 2] for task in tasks}
    kinds = sorted({name for task in tasks for name in layer[task] | less[task]})
    lines = ["| launches of one layer | " + " | ".join(TASKS[task] for task in tasks) + " |", "|---" * (1 + len(tasks)) + "|"]
    for name in kinds:
        lines.append(f"| {name} | " + " | ".join(str(layer[task][name] - less[task][name]) for task in tasks) + " |")
    totals = [sum(layer[task].values()) - sum(less[task].values()) for task in tasks]
    lines.append("| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |")
    rest = [sum(counts[task, 1].values()) - total for task, total in zip(tasks, totals, strict=True)]
    lines.append("| embeddings, head, loss, optimizer | " + " | ".join(str(count) for count in rest) + " |")
    return "\n".join(lines)


def work(n: int, size: int) -> list:
    """Operation, FLOPs, least bytes and bytes today: of the forward pass and of the backward pass with its recomputation."""

    def product(inner: int, outer: int) -> tuple:
        return 2 * n * inner * outer, size * (n * inner + inner * outer + n * outer)

    scores = HEADS * n * n / 2
    attention = 4 * scores * (Q / HEADS)
    qkv = [product(H, Q + 2 * K), product(Q, H), product(H, 2 * I), product(I, H)]
    names = ["queries, keys, values", "output of the attention", "gate and up", "down"]
    rows = []
    for name, (flops, moved) in zip(names, qkv, strict=True):
        # The gradient of the input; adapters need no gradient of the weight.
        rows.append((name, flops, moved, moved, 2 * flops, 2 * moved, 2 * moved))
    # The least: a kernel that keeps scores on the chip.
    least = size * n * (2 * Q + 2 * K)
    backward = attention * 3.5  # scores again, and four products of the gradients, with the forward pass of the recomputation
    backward_bytes = size * n * (4 * Q + 4 * K) + 4 * HEADS * n
    # Blocks on the diagonal are computed whole.
    blocks = (n / BLOCK) * (n / BLOCK + 1) / 2
    forward, gradients = (
        blocks * BLOCK * (scores * HEADS * BLOCK + queries * Q + keys * K) for scores, queries, keys in (FORWARD, GRADIENTS)
    )
    rows.append(("attention", attention, least, forward, backward, least + backward_bytes, forward + gradients))
    # An evaluation normalizes the input of the attention twice, for keys and for queries. The gradient reads a row of the input and
    # one of the gradient, and writes one.
    norm = 2 * size * 2 * n * H
    rows.append(("two normalizations", 8 * n * H, norm, 1.5 * norm, 24 * n * H, 2.5 * norm, 2.5 * norm))
    rotate = size * 2 * n * (Q + K)
    rows.append(("rotation", 3 * n * (Q + K), rotate, rotate, 6 * n * (Q + K), 2 * rotate, 2 * rotate))
    gated = size * 3 * n * I
    rows.append(("gated activation", 5 * n * I, gated, gated, 15 * n * I, 2.7 * gated, 2.7 * gated))
    residual = size * 3 * 2 * n * H
    rows.append(("two sums with the residual", 2 * n * H, residual, residual, 4 * n * H, 2 * residual, 2 * residual))
    return rows


def work_table(n: int) -> str:
    head = ["operation", "TFLOP", "least GB", "GB today", "ms, A100", "ms, H100"]
    lines = []
    for title, at in (("Forward pass", 1), ("Backward pass with frozen weights (LoRA), with the recomputed forward pass", 4)):
        lines += [f"{title}, {n:,} tokens:", "", "| " + " | ".join(head) + " |", "|---|---|---|---|---|---|"]
        totals = [0.0] * 7
        for row in work(n, 2):
            flops, least, today = row[at:at + 3]
            times = [(max(flops / f, least / b), max(flops / f, today / b)) for f, b in GPUS.values()]
            cells = [f"{flops / 1e12:.2f}", f"{least / 1e9:.2f}", f"{today / 1e9:.2f}"]
            cells += [f"{1e3 * best:.2f}" if best == now else f"{1e3 * best:.2f}, today {1e3 * now:.2f}" for best, now in times]
            lines.append(f"| {row[0]} | " + " | ".join(cells) + " |")
            values = [flops, least, today, *(time for pair in times for time in pair)]
            totals = [a + b for a, b in zip(totals, values, strict=True)]
        cells = [f"{totals[0] / 1e12:.2f}", f"{totals[1] / 1e9:.2f}", f"{totals[2] / 1e9:.2f}"]
        cells += [f"{1e3 * totals[i]:.1f}, today {1e3 * totals[i + 1]:.0f}" for i in (3, 5)]
        lines += ["| **layer** | " + " | ".join(f"**{cell}**" for cell in cells) + " |", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Count kernel launches, and set the work of a layer against a roofline.")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/longrope")
    parser.add_argument("--device", default="wgpu:cpu")
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS), help="what to count")
    parser.add_argument("--formulas", action="store_true", help="only the table of work")
    args = parser.parse_args()
    if not args.formulas:
        print(launch_table(measured(args.program, args.device, args.only)), end="\n\n")
    for n in (32768, 131072):
        print(work_table(n))


if __name__ == "__main__":
    main()
