"""Checks and times longrope on a GPU, against the CPU and against PyTorch, and writes a table.

    pip install torch transformers==5.24.*
    python benches/gpu/run.py --out runs/gpu                 # builds, then runs every part
    python benches/gpu/run.py --out runs/gpu --only attention
    python benches/gpu/run.py --out runs/gpu --features cuda,autotune    # the fastest of several kernels; compiles for minutes
    python benches/gpu/run.py --out runs/gpu --device flex --shape tiny --lengths 512 --torch-device cpu   # a rehearsal

Parts: build, kernels, parity, attention, ppl, lora. Each result is saved when it is there, so a run that was cut off goes on
where it stopped (`--again PART` measures a part again). Programs that were built elsewhere are given with --programs, a folder
with `longrope`, `kernel_times`, `random_checkpoint` and `kernels`, the test program of longrope-kernels. Both sides of a
comparison run in turns, each in a process of its own.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "crates/longrope/assets/tiny-llama-256"
TEXT = ROOT / "book/src/log.md"
PARTS = ["build", "kernels", "parity", "attention", "ppl", "lora"]
# Heads, key heads and width of a head of an 8B model, and of the small one of a rehearsal.
HEADS = {"8b": (32, 8, 128), "tiny": (4, 2, 64)}
# Loss in nats that a device may differ from the CPU by, in the mean, by precision.
NEAR = {"f32": 5e-4, "bf16": 2e-3}


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out = args.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.file = self.out / "results.json"
        self.results = json.loads(self.file.read_text()) if self.file.exists() else {}

    def program(self, name: str) -> Path:
        if self.args.programs:
            return self.args.programs / name
        release = ROOT / "target/release"
        return release / name if name == "longrope" else release / "examples" / name

    def save(self, key: str, value: object) -> None:
        self.results[key] = value
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.results, indent=1))
        os.replace(part, self.file)
        print(f"{key}: {json.dumps(value)}", flush=True)

    def run(self, command: list, **env: str) -> subprocess.CompletedProcess:
        command = [str(word) for word in command]
        print("$", " ".join(command), flush=True)
        environment = {**os.environ, **env}
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False,
                                  timeout=self.args.limit)
        except subprocess.TimeoutExpired as slow:
            sys.exit(f"{command[0]} was stopped after {self.args.limit} seconds:\n{(slow.stderr or b'').decode()[-4000:]}")
        if done.returncode != 0:
            sys.exit(f"{command[0]} failed with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done

    def missing(self, key: str) -> bool:
        return key not in self.results

    # Parts

    def build(self) -> None:
        if self.args.programs:
            return
        features = ["--features", self.args.features] if self.args.features else []
        self.run(["cargo", "build", "--release", "-p", "longrope", "--bin", "longrope", *features])
        self.run(["cargo", "build", "--release", "-p", "longrope", "--example", "kernel_times", *features])
        self.run(["cargo", "build", "--release", "-p", "longrope", "--example", "random_checkpoint", *features])

    def kernels(self) -> None:
        if not self.missing("kernels"):
            return
        device = self.args.device.removesuffix(":0")
        started = time.time()
        if self.args.programs:
            command = [self.program("kernels"), "--test-threads", "1"]
        else:
            features = ["--features", self.args.features] if self.args.features else []
            command = ["cargo", "test", "--release", "-p", "longrope-kernels", *features, "--test", "kernels", "--"]
            command += ["--test-threads", "1"]
        done = self.run(command, LONGROPE_DEVICE=device)
        counts = re.findall(r"(\d+) passed; (\d+) failed", done.stdout)
        passed, failed = (sum(int(count[i]) for count in counts) for i in (0, 1))
        self.save("kernels", {"passed": passed, "failed": failed, "seconds": round(time.time() - started)})

    def nats(self, device: str, precision: str, context: int) -> float:
        command = [self.program("longrope"), "eval", "ppl", TINY, "--text", TEXT, "--contexts", context, "--windows", 4]
        command += ["--rope", "yarn@8192", "--device", device, "--set", f"precision={precision}", "--json"]
        report = json.loads(self.run(command).stdout)
        return find(report, "nll_nats")

    def parity(self) -> None:
        for precision in NEAR:
            for context in (256, 2048):
                key = f"parity {precision} {context}"
                if self.missing(key):
                    here = self.nats("flex", "f32", context)
                    there = self.nats(self.args.device, precision, context)
                    self.save(key, {"cpu": here, "device": there, "near": abs(here - there) < NEAR[precision]})

    def attention(self) -> None:
        heads, key_heads, width = HEADS[self.args.shape]
        for length in self.args.lengths:
            for backward in (False, True):
                key = f"attention {length}{' with gradients' if backward else ''}"
                if not self.missing(key):
                    continue
                ours_command = [self.program("kernel_times"), "attention", "--seq", length, "--heads", heads, "--kv-heads"]
                ours_command += [key_heads, "--head-dim", width, "--device", self.args.device.removesuffix(":0")]
                ours_command += ["--dtype", self.args.dtype, "--repeat", 3] + (["--backward"] if backward else [])
                case = {"kind": "attention", "length": length, "backward": backward}
                self.save(key, self.in_turns(lambda: json.loads(self.run(ours_command).stdout)["seconds"], case))

    def checkpoint(self) -> Path:
        folder = self.out / f"random-{self.args.shape}"
        if not (folder / "config.json").exists():
            self.run([self.program("random_checkpoint"), folder, self.args.shape])
        return folder

    def ppl(self) -> None:
        model = self.checkpoint()
        for length in self.args.lengths:
            key = f"ppl {length}"
            if self.missing(key):
                command = [self.program("longrope"), "eval", "ppl", model, "--text", TEXT, "--contexts", length]
                command += ["--windows", 2, "--rope", f"yarn@{8 * length}", "--device", self.args.device, "--json"]

                def ours() -> float:
                    return find(json.loads(self.run(command).stdout), "elapsed_secs") / 2

                self.save(key, self.in_turns(ours, {"kind": "forward", "length": length, "model": str(model)}, rounds=1))

    def lora(self) -> None:
        model = self.checkpoint()
        length = min(self.args.lengths)
        key = f"lora {length}"
        if self.missing(key):
            folder = self.out / "lora"
            command = [self.program("longrope"), "finetune", model, "--text", TEXT, "--rope", f"yarn@{8 * length}", "--lora"]
            command += ["--context", length, "--steps", 4, "--device", self.args.device, "--dashboard", "off", "--out", folder]
            command += ["--set", "train.warmup-steps=1", "--set", "train.accumulate=1", "--set", "train.save-every=100"]
            command += ["--set", "train.precision=bf16"] if self.args.dtype == "bf16" else []

            def ours() -> float:
                subprocess.run(["rm", "-rf", str(folder)], check=True)
                self.run(command)
                lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
                speeds = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
                return length / max(speeds)

            self.save(key, self.in_turns(ours, {"kind": "lora", "length": length, "model": str(model)}, rounds=1))

    def in_turns(self, ours, case: dict, rounds: int | None = None) -> dict:
        case = {**case, "shape": self.args.shape, "device": self.args.torch_device, "dtype": self.args.dtype}
        ours_times, theirs_times = [], []
        for _ in range(rounds or self.args.rounds):
            ours_times.append(ours())
            if self.args.torch_device != "none":
                done = self.run([sys.executable, __file__, "--torch-case", json.dumps(case)])
                theirs_times.append(json.loads(done.stdout.splitlines()[-1])["seconds"])
        result = {"longrope_seconds": statistics.median(ours_times)}
        if theirs_times:
            result["pytorch_seconds"] = statistics.median(theirs_times)
            result["ratio"] = round(result["pytorch_seconds"] / result["longrope_seconds"], 2)
        return result

    def table(self) -> None:
        name = self.args.device
        if self.args.torch_device == "cuda":
            done = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                                  capture_output=True, text=True, check=False)
            name = done.stdout.strip() or name
        lines = [f"{name}, {self.args.shape} shape, {self.args.dtype}; a ratio above 1 means that longrope is faster.", ""]
        lines += ["| part | longrope | PyTorch | ratio |", "|---|---|---|---|"]
        for key, value in self.results.items():
            if "longrope_seconds" in value:
                theirs = value.get("pytorch_seconds")
                shown = "-" if theirs is None else f"{1e3 * theirs:.1f} ms"
                lines.append(f"| {key} | {1e3 * value['longrope_seconds']:.1f} ms | {shown} | {value.get('ratio', '-')} |")
        lines += ["", "| check | result |", "|---|---|"]
        for key, value in self.results.items():
            if "near" in value:
                shown = f"{value['device']:.5f}, on the CPU {value['cpu']:.5f} nats per token: "
                lines.append(f"| {key} | {shown}{'near' if value['near'] else 'too far'} |")
            if "passed" in value:
                lines.append(f"| {key} | {value['passed']} passed, {value['failed']} failed, {value['seconds']} s |")
        (self.out / "table.md").write_text("\n".join(lines) + "\n")
        print("\n".join(lines))


def find(value: object, key: str) -> float:
    """The first number with this key in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get(key), int | float):
            return value[key]
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        found = find(part, key)
        if found is not None:
            return found
    return None


def torch_case(case: dict) -> None:
    """Times one case in PyTorch and prints a line of JSON."""
    import torch
    from torch.nn import functional

    device = torch.device(case["device"])
    dtype = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[case["dtype"]]

    def best(run, repeat: int = 3) -> float:
        times = []
        for _ in range(repeat + 1):
            started = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
        return min(times[1:])

    if case["kind"] == "attention":
        heads, key_heads, width = HEADS[case["shape"]]
        grad = case["backward"]

        def random(n_heads: int):
            return torch.randn(1, n_heads, case["length"], width, device=device, dtype=dtype, requires_grad=grad)

        q, k, v = random(heads), random(key_heads), random(key_heads)

        def run() -> None:
            out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            if grad:
                out.sum().backward()

        print(json.dumps({"seconds": best(run)}))
        return

    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(case["model"])
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    ids = torch.arange(case["length"], device=device).remainder(1000).unsqueeze(0)

    if case["kind"] == "forward":

        def forward() -> None:
            with torch.no_grad():
                hidden = model.model(ids).last_hidden_state[0]
                for rows in hidden.split(2048):  # as little memory as longrope
                    functional.cross_entropy(model.lm_head(rows).float(), torch.zeros(len(rows), dtype=torch.long, device=device))

        print(json.dumps({"seconds": best(forward, 2)}))
        return

    # LoRA of rank 8 on the maps of attention, layers recomputed.
    model.requires_grad_(False)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    adapters = []
    for layer in model.model.layers:
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            linear = getattr(layer.self_attn, name)
            a = torch.nn.Parameter(0.01 * torch.randn(8, linear.in_features, device=device, dtype=dtype))
            b = torch.nn.Parameter(torch.zeros(linear.out_features, 8, device=device, dtype=dtype))
            adapters += [a, b]
            linear.register_forward_hook(lambda _, args, out, a=a, b=b: out + args[0] @ a.T @ b.T)
    optimizer = torch.optim.AdamW(adapters, lr=1e-4)

    def step() -> None:
        hidden = model.model(ids).last_hidden_state[0, :-1]
        total = sum(
            torch.utils.checkpoint.checkpoint(
                lambda rows, targets: functional.cross_entropy(model.lm_head(rows).float(), targets, reduction="sum"),
                rows, targets, use_reentrant=False)
            for rows, targets in zip(hidden.split(2048), ids[0, 1:].split(2048), strict=True)
        )
        (total / case["length"]).backward()
        optimizer.step()
        optimizer.zero_grad()

    print(json.dumps({"seconds": best(step, 2)}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Check and time longrope on a GPU.")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="results and models (default: %(default)s)")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--again", choices=PARTS, help="measure a part again")
    parser.add_argument("--device", default="cuda:0", help="as longrope names it (default: %(default)s)")
    parser.add_argument("--features", default="cuda", help="cargo features of the build (default: %(default)s)")
    parser.add_argument("--programs", type=Path, help="folder with programs that are built already")
    parser.add_argument("--shape", choices=["8b", "tiny"], default="8b", help="of the random model (default: %(default)s)")
    parser.add_argument("--lengths", default="8192,32768,131072", help="tokens (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=1800, help="seconds after which a program is stopped (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each attention (default: %(default)s)")
    parser.add_argument("--dtype", choices=["bf16", "f16", "f32"], default="bf16", help="(default: %(default)s)")
    parser.add_argument("--torch-device", default="cuda", help="cuda, cpu, or none to time longrope alone")
    parser.add_argument("--torch-case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_case:
        torch_case(json.loads(args.torch_case))
        return
    args.out = args.out.resolve()
    args.lengths = [int(length) for length in args.lengths.split(",")]
    bench = Bench(args)
    if args.again:
        bench.results = {key: value for key, value in bench.results.items() if key.split()[0] != args.again}
    for part in PARTS:
        if args.only in (None, part):
            getattr(bench, part)()
    bench.table()


if __name__ == "__main__":
    main()
