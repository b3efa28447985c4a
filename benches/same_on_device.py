"""Runs the verbs of longrope on a device and on the CPU, and compares what they compute.

    cargo build --release --features wgpu
    python benches/same_on_device.py --device wgpu:cpu        # Mesa's software driver, or any GPU
    python benches/same_on_device.py --device cuda:0 --precision auto        # bf16 where the GPU has it; differs more

The bundled model is measured, compared under two RoPEs, asked for passkeys, continued, searched for and trained for three
steps. The table has the largest difference of each, its tolerance, and the times. The exit code is 1 if one is too large.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "crates/longrope/assets/tiny-llama-256"
TEXT = ROOT / "book/src/log.md"
# Nats per token. Kernels of different devices add in different orders.
LOSS = 1e-3
# The same if weights and activations are in half precision on the device. bf16 has 8 bits of mantissa. Its largest difference on
# an H200 was 2.3e-3, that of `compare` over a single window of 512 tokens. A mean over more windows stays within 2e-3.
HALVES = 3e-3
# In a training, which is in f32 at any --precision. Its steps amplify differences.
STEP = 5e-3

SEARCH = ["--target", "512", "--set", "search.population=4", "--set", "search.parents=2", "--set", "search.mutations=1",
          "--set", "search.crossovers=1", "--set", "search.generations=1", "--set", "search.samples=1",
          "--set", "search.passkey-trials=0", "--set", "search.held-out=0", "--set", "search.objective=perplexity"]
TRAIN = ["--rope", "yarn@512", "--context", "256", "--steps", "3", "--dashboard", "off", "--set", "train.warmup-steps=1",
         "--set", "train.accumulate=1"]


def losses(report: dict) -> list:
    return [result["nll_nats"] for result in report["results"]]


def keys(report: dict) -> list:
    return [trial["answer"] for result in report["results"] for trial in result["trials"]]


def steps(folder: Path) -> list:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line.get("event") == "step"]


def best(folder: Path) -> list:
    return [json.loads((folder / "rope.json").read_text())["provenance"]["score_nats"]]


# Name, words, what is compared, whether it comes from stdout or the run folder, tolerance.
CASES = [
    ("eval ppl", ["eval", "ppl", MODEL, "--text", TEXT, "--contexts", "256", "--windows", "2", "--json"], losses, LOSS),
    ("compare", ["compare", MODEL, "--text", TEXT, "--rope", "none", "--rope", "yarn@512", "--contexts", "512", "--windows", "1",
                 "--json"], losses, LOSS),
    ("eval passkey", ["eval", "passkey", MODEL, "--rope", "yarn@512", "--contexts", "256", "--trials", "2", "--json"], keys, None),
    ("generate", ["generate", MODEL, "--prompt", "fn main() {", "--max-new-tokens", "12"], str, None),
    ("search", ["search", MODEL, "--text", TEXT, *SEARCH], best, LOSS),
    ("finetune", ["finetune", MODEL, "--text", TEXT, *TRAIN], steps, STEP),
]


def run(program: Path, words: list, device: str, of, folder: Path, precision: str) -> tuple:
    of_folder = of in (steps, best)
    command = [program, *words, "--device", device, *(["--out", folder] if of_folder else [])]
    # Trainings are in f32 unless told otherwise.
    command += [] if of is steps else ["--set", f"precision={precision}"]
    environment = {"XDG_RUNTIME_DIR": str(folder.parent), "CUBECL_AUTOTUNE_LEVEL": "minimal", **os.environ}
    started = time.time()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-3000:]}")
    seconds = time.time() - started
    if of_folder:
        return of(folder), seconds
    return of(done.stdout if of is str else json.loads(done.stdout)), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the verbs of longrope on a device with the CPU.")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/longrope")
    parser.add_argument("--device", default="wgpu:cpu")
    parser.add_argument("--only", nargs="*", help="names of verbs")
    parser.add_argument("--precision", default="f32", help="of weights and activations on the device (default: %(default)s)")
    args = parser.parse_args()
    print("| verb | largest difference | tolerance | seconds on the CPU | on the device |\n|---|---|---|---|---|")
    failed = False
    with tempfile.TemporaryDirectory(prefix="longrope-") as work:
        for name, words, of, tolerance in CASES:
            if args.only and name not in args.only:
                continue
            here, here_seconds = run(args.program.resolve(), words, "flex", of, Path(work) / f"{words[0]}-here", "f32")
            there, there_seconds = run(args.program.resolve(), words, args.device, of, Path(work) / f"{words[0]}-there", args.precision)
            if tolerance == LOSS and args.precision != "f32":
                tolerance = HALVES
            if tolerance is None:
                same = here == there
                shown, allowed = ("none" if same else f"{here!r}, {there!r}"), "none"
            else:
                difference = max(abs(x - y) for x, y in zip(here, there, strict=True))
                same = difference < tolerance
                shown, allowed = f"{difference:.1e} nats", f"{tolerance:g}"
            failed |= not same
            mark = "" if same else " **too large**"
            print(f"| `{name}` | {shown}{mark} | {allowed} | {here_seconds:.1f} | {there_seconds:.0f} |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
