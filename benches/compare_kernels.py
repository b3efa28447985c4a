"""Times the operations of longrope-kernels against PyTorch's, on the same shapes and cores, in one run.

    pip install torch transformers==5.24.*
    cargo build --release --workspace --examples
    python compare_kernels.py --cores 0,1

Both sides run alternately, each run in its own process that is pinned to the same cores. The ratios compare medians
over all rounds; above 1, longrope is faster. Memory is the peak of a process, inputs included, minus its memory before
it made them. With --model and --tokens, `longrope eval ppl` is also timed against transformers with SDPA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ATTENTION_LENGTHS = [4096, 16384, 32768]
HEAD_DIMS = [64, 128]
HEADS = 4
ROWS = 4096  # tokens of the other operations
VOCAB = 32000
HIDDEN = 512


def status_kib(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def best_seconds(repeat: int, run: Callable[[], object]) -> float:
    run()
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def torch_worker(case: dict, cores: int) -> None:
    """Runs one operation in PyTorch and prints a line of JSON like `kernel_times`."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(cores)
    start_kib = status_kib("VmRSS:")
    grad = case["backward"]
    torch.set_grad_enabled(grad)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, requires_grad=grad)

    match case["operation"]:
        case "attention":
            shape = (1, HEADS, case["seq"], case["head_dim"])
            q, k, v = random(*shape), random(*shape), random(*shape)

            def forward() -> torch.Tensor:
                return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        case "loss":
            hidden, weight = random(ROWS, HIDDEN), random(VOCAB, HIDDEN)
            targets = torch.arange(ROWS) * 31 % VOCAB

            def forward() -> torch.Tensor:
                return functional.cross_entropy(hidden @ weight.T, targets, reduction="none")
        case "rms-norm":
            x, weight = random(1, ROWS, HIDDEN), random(HIDDEN)

            def forward() -> torch.Tensor:  # as transformers' LlamaRMSNorm
                return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))
        case "rotate":
            x = random(1, HEADS, ROWS, HIDDEN // HEADS)
            half = HIDDEN // HEADS // 2
            cos, sin = (torch.randn(ROWS, 2 * half) for _ in range(2))

            def forward() -> torch.Tensor:  # as transformers' apply_rotary_pos_emb
                turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
                return x * cos + turned * sin
        case "swiglu":
            gate, up = random(1, ROWS, HIDDEN), random(1, ROWS, HIDDEN)

            def forward() -> torch.Tensor:
                return functional.silu(gate) * up
        case other:
            raise SystemExit(f"error: operation `{other}`")

    def run() -> None:
        output = forward().sum()
        if grad:
            output.backward()

    seconds = best_seconds(case["repeat"], run)
    print(json.dumps({"seconds": seconds, "start_kib": start_kib, "peak_kib": status_kib("VmHWM:")}))


def ppl_worker(case: dict, cores: int) -> None:
    """Losses of a batch of windows in transformers; logits are computed for one chunk of positions at a time."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(cores)
    torch.set_grad_enabled(False)
    start_kib = status_kib("VmRSS:")
    model = AutoModelForCausalLM.from_pretrained(case["model"], attn_implementation="sdpa", dtype=torch.float32)
    ids = json.loads(Path(case["tokens"]).read_text())[: case["context"] * case["windows"]]
    tokens = torch.tensor(ids).view(case["windows"], case["context"])
    targets = tokens[:, 1:].flatten()

    def run() -> None:
        hidden = model.model(tokens).last_hidden_state[:, :-1].flatten(0, 1)
        for start in range(0, len(hidden), 1024):
            logits = model.lm_head(hidden[start : start + 1024])
            torch.nn.functional.cross_entropy(logits, targets[start : start + 1024], reduction="none")

    seconds = best_seconds(case["repeat"], run)
    print(json.dumps({"seconds": seconds, "start_kib": start_kib, "peak_kib": status_kib("VmHWM:")}))


def run_pinned(command: list[str], cores: list[int], env: dict[str, str] | None = None) -> tuple[str, int]:
    """Returns the last line that a program prints, and its peak memory in KiB."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | (env or {}),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0 or not output.strip():
        raise SystemExit(f"error: `{' '.join(command)}` ended with status {status}")
    return output.strip().splitlines()[-1], usage.ru_maxrss


def median(results: list[dict], key: str) -> float:
    return statistics.median(result[key] for result in results)


def print_comparison(name: str, ours: list[dict], theirs: list[dict]) -> None:
    def memory(results: list[dict]) -> float:
        return (median(results, "peak_kib") - median(results, "start_kib")) / 1024

    seconds = median(ours, "seconds"), median(theirs, "seconds")
    print(
        f"| {name} | {seconds[0] * 1e3:.2f} | {seconds[1] * 1e3:.2f} | **{seconds[1] / seconds[0]:.2f}** "
        f"| {memory(ours):.0f} | {memory(theirs):.0f} | {memory(ours) / memory(theirs):.2f} |",
        flush=True,
    )


def kernel_cases(lengths: list[int]) -> list[dict]:
    cases = []
    for backward in (False, True):
        for head_dim in HEAD_DIMS:
            for seq in lengths:
                cases.append({"operation": "attention", "backward": backward, "seq": seq, "head_dim": head_dim})
        for operation in ("loss", "rms-norm", "rotate", "swiglu"):
            cases.append({"operation": operation, "backward": backward, "seq": ROWS, "head_dim": HIDDEN // HEADS})
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the operations of longrope-kernels against PyTorch's.")
    root = Path(__file__).resolve().parent.parent / "target" / "release"
    parser.add_argument("--cores", default="0,1", help="cores of both sides (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    parser.add_argument("--lengths", default=",".join(map(str, ATTENTION_LENGTHS)), help="of attention")
    parser.add_argument("--binaries", type=Path, default=root, help="folder of the release build")
    parser.add_argument("--model", type=Path, help="a LLaMA checkpoint, for `longrope eval ppl`")
    parser.add_argument("--tokens", type=Path, help="JSON list of token ids, for `longrope eval ppl`")
    parser.add_argument("--contexts", default="8192,32768", help="of `longrope eval ppl` (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=1, help="of `longrope eval ppl`, one batch in PyTorch (default: %(default)s)")
    parser.add_argument("--only", choices=["kernels", "ppl"], help="one half of the comparison")
    parser.add_argument("--operation", help="one operation of the kernels")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cores = [int(core) for core in args.cores.split(",")]
    if args.worker:
        case = json.loads(args.worker)
        (ppl_worker if case["operation"] == "ppl" else torch_worker)(case, len(cores))
        return 0

    def torch(case: dict) -> dict:
        command = [sys.executable, __file__, "--cores", args.cores, "--worker", json.dumps(case)]
        return json.loads(run_pinned(command, cores)[0])

    print("| operation | longrope, ms | PyTorch, ms | ratio | longrope, MiB | PyTorch, MiB | ratio |")
    print("|---|---|---|---|---|---|---|")
    for case in kernel_cases([int(n) for n in args.lengths.split(",")]) if args.only != "ppl" else []:
        if args.operation not in (None, case["operation"]):
            continue
        case["repeat"] = 3 if case["seq"] <= 4096 else 1
        command = [str(args.binaries / "examples" / "kernel_times"), case["operation"], "--heads", str(HEADS)]
        for name in ("seq", "head_dim", "repeat"):
            command += [f"--{name.replace('_', '-')}", str(case[name])]
        command += ["--backward"] if case["backward"] else []
        env = {"RAYON_NUM_THREADS": str(len(cores))}
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(json.loads(run_pinned(command, cores, env)[0]))
            theirs.append(torch(case))
        size = f" {case['seq']} × {case['head_dim']}" if case["operation"] == "attention" else ""
        print_comparison(f"{case['operation']}{size}{', with gradients' if case['backward'] else ''}", ours, theirs)

    for context in map(int, args.contexts.split(",")) if args.model and args.only != "kernels" else []:
        case = {"operation": "ppl", "model": str(args.model), "tokens": str(args.tokens), "context": context}
        case |= {"windows": args.windows, "repeat": 1}
        command = [str(args.binaries / "longrope"), "eval", "ppl", "--model", str(args.model), "--tokens"]
        command += [str(args.tokens), "--contexts", str(context), "--windows", str(args.windows), "--rope", "none", "--json"]
        ours, theirs = [], []
        for _ in range(args.rounds):
            line, peak_kib = run_pinned(command, cores, {"RAYON_NUM_THREADS": str(len(cores))})
            result = json.loads(line)["results"][0]
            ours.append({"seconds": result["elapsed_secs"], "start_kib": 0, "peak_kib": peak_kib})
            theirs.append(torch(case))
        windows = f"{args.windows} windows of " if args.windows > 1 else ""
        print_comparison(f"eval ppl, {windows}{context} tokens", ours, theirs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
