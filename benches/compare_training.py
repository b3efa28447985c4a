"""Times training steps of `longrope finetune` against PyTorch's, on the same model, tokens and cores, in one run.

    pip install torch transformers==5.24.*
    cargo build --release
    python compare_training.py MODEL --tokens ids.json --windows 2048,8192

All weights are trained in f32 by AdamW, with the gradient clipped to 1. A step has the same windows on both sides.
PyTorch computes the LLaMA of transformers with `scaled_dot_product_attention`; with --recompute it checkpoints every layer,
as `longrope` does. Both run alternately, each run in its own process that is pinned to the same cores. A run counts as
the median of its steps without the first two; the ratios compare medians over all rounds. Above 1, longrope is faster.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from compare_kernels import print_comparison, run_pinned, status_kib

WARMUP = 2  # steps at the start of a run that are not counted


def torch_worker(case: dict, cores: int) -> None:
    """Trains for some steps and prints the seconds of each as a line of JSON."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(cores)
    start_kib = status_kib("VmRSS:")
    model = AutoModelForCausalLM.from_pretrained(case["model"], attn_implementation="sdpa", dtype=torch.float32)
    model.train()
    model.config.use_cache = False
    if case["recompute"]:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    ids = torch.tensor(json.loads(Path(case["tokens"]).read_text()))
    window, batch = case["window"], case["batch"]
    seconds = []
    for step in range(case["steps"]):
        start = time.perf_counter()
        for part in range(case["accumulate"]):
            first = (step * case["accumulate"] + part) * window * batch % (len(ids) - window * batch)
            tokens = ids[first : first + window * batch].view(batch, window)
            loss = model(input_ids=tokens, labels=tokens).loss / case["accumulate"]
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    seconds = statistics.median(seconds[WARMUP:])
    print(json.dumps({"seconds": seconds, "start_kib": start_kib, "peak_kib": status_kib("VmHWM:")}))


def train(program: Path, case: dict, cores: list[int], devices: int) -> dict:
    """Trains with `longrope finetune` in a temporary folder."""
    settings = {
        "batch": case["batch"],
        "accumulate": case["accumulate"],
        "recompute": str(case["recompute"]).lower(),
        "warmup-steps": 0,
        "save-every": case["steps"],
        "optimizer": "{ weight-decay = 0.0 }",
    }
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [str(program), "finetune", case["model"], "--tokens", case["tokens"], "--out", str(run)]
        command += ["--rope", f"yarn@{case['window']}", "--context", str(case["window"]), "--steps", str(case["steps"])]
        command += [part for key, value in settings.items() for part in ("--set", f"train.{key}={value}")]
        command += ["--device", "flex"] * devices + ["--dashboard", "off", "--json"]
        _, peak_kib = run_pinned(command, cores, {"RAYON_NUM_THREADS": str(len(cores))})
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        seconds = [line["elapsed_secs"] for line in lines if line.get("event") == "step"]
    return {"seconds": statistics.median(seconds[WARMUP:]), "start_kib": 0, "peak_kib": peak_kib}


def main() -> int:
    parser = argparse.ArgumentParser(description="Time training steps against PyTorch's.")
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("model", type=Path, help="a LLaMA checkpoint")
    parser.add_argument("--tokens", type=Path, required=True, help="JSON list of token ids")
    parser.add_argument("--windows", default="2048,8192", help="lengths of windows (default: %(default)s)")
    parser.add_argument("--step-tokens", type=int, default=8192, help="tokens of a step (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="windows that go through the model at once (default: %(default)s)")
    parser.add_argument("--recompute", action="store_true", help="recompute layers in the backward pass")
    parser.add_argument("--workers", type=int, default=1, help="workers of longrope (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6, help="steps of a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    parser.add_argument("--cores", default="0,1", help="cores of both sides (default: %(default)s)")
    parser.add_argument("--program", type=Path, default=root / "target/release/longrope")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cores = [int(core) for core in args.cores.split(",")]
    if args.worker:
        torch_worker(json.loads(args.worker), len(cores))
        return 0
    print("| step | longrope, ms | PyTorch, ms | ratio | longrope, MiB | PyTorch, MiB | ratio |")
    print("|---|---|---|---|---|---|---|")
    for window in map(int, args.windows.split(",")):
        case = {
            "model": str(args.model),
            "tokens": str(args.tokens),
            "window": window,
            "batch": args.batch,
            "accumulate": max(1, args.step_tokens // (window * args.batch)),
            "recompute": args.recompute,
            "steps": args.steps,
        }
        worker = [sys.executable, __file__, str(args.model), "--tokens", str(args.tokens)]
        worker += ["--cores", args.cores, "--worker", json.dumps(case)]
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(train(args.program, case, cores, args.workers))
            theirs.append(json.loads(run_pinned(worker, cores)[0]))
        name = f"{case['accumulate']} × {args.batch} windows of {window:,}{', recomputed' if args.recompute else ''}"
        print_comparison(name, ours, theirs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
