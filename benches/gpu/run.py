"""Checks and times longrope on a GPU, against the CPU and against PyTorch, and writes a table.

    pip install torch transformers==5.24.*
    python benches/gpu/run.py --out runs/gpu                 # builds, then runs every part
    python benches/gpu/run.py --out runs/gpu --only attention
    python benches/gpu/run.py --out runs/gpu --features cuda-nvrtc,autotune    # the fastest of several kernels, minutes later
    python benches/gpu/run.py --out runs/gpu --device flex --shape tiny --lengths 512 --torch-device cpu   # a rehearsal

Parts: build, kernels, parity, attention, ppl, lora. Each result is saved when it is there, so a run that was cut off goes on
where it stopped (`--again PART` measures a part again). What fails or takes longer than --limit is saved as failed, and the
others go on; the next run repeats it. The exit code is 1 if something failed. The table is written after every part.

Programs that were built elsewhere are given with --programs, a folder with `longrope`, `kernel_times`, `random_checkpoint` and
`kernels`, the test program of longrope-kernels. Both sides of a comparison run in turns, each in a process of its own, on the
same random tokens: time does not depend on what a text says.
"""

import argparse
import itertools
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "crates/longrope/assets/tiny-llama-256"
TEXT = ROOT / "book/src/log.md"
PARTS = ["build", "kernels", "parity", "attention", "ppl", "lora"]
# Heads, key heads and width of a head of an 8B model, and of the small one of a rehearsal.
HEADS = {"8b": (32, 8, 128), "tiny": (4, 2, 64)}
# Loss in nats that a device may differ from the CPU by, in the mean, by precision.
NEAR = {"f32": 5e-4, "bf16": 2e-3}
# Programs that cargo builds, and how.
BUILDS = {name: ["build", "-p", "longrope", kind, name] for name, kind in
          [("longrope", "--bin"), ("kernel_times", "--example"), ("random_checkpoint", "--example")]}
# Features are those of the whole workspace, since longrope-kernels has no `cuda-nvrtc` of its own.
BUILDS["kernels"] = ["test", "--workspace", "--test", "kernels"]
# Seconds that cargo may build for. The first build for a GPU takes far longer than anything that is measured.
BUILD_LIMIT = 4 * 3600
# Windows of a measurement, and where token ids lie: beyond the special ones, within every vocabulary.
WINDOWS = 2
IDS = range(256, 1000)


class Failed(Exception):
    """A program that failed or was stopped. The first line says which and how."""


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out = args.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.file = self.out / "results.json"
        self.results = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.not_built: set[str] = set()

    def program(self, name: str) -> Path:
        if name in self.not_built:
            raise Failed(f"{name} was not built")
        if self.args.programs:
            return self.args.programs / name
        release = ROOT / "target/release"
        return release / name if name == "longrope" else release / "examples" / name

    def cargo(self, name: str, *last: str) -> list:
        features = ["--features", self.args.features] if self.args.features else []
        command, *words = BUILDS[name]
        return ["cargo", command, "--release", *words, *features, *last]

    def store(self) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.results, indent=1))
        os.replace(part, self.file)

    def measure(self, key: str, measured: Callable[[], dict]) -> None:
        """Saves a result under a key, or why there is none. What is there already is not measured again."""
        if "error" not in self.results.get(key, {"error": "missing"}):
            return
        try:
            value = measured()
        except Exception as error:  # whatever it is, the other results are worth having
            value = {"error": str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"}
        self.results[key] = value
        self.store()
        print(f"{key}: {json.dumps(value)}", flush=True)

    def run(self, command: list, limit: int | None = None, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        """Runs a program. Without `check`, it may end with any status."""
        command = [str(word) for word in command]
        print("$", " ".join(command), flush=True)
        # A session of its own, so that the programs it starts are stopped with it.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
                                   env={**os.environ, **env}, start_new_session=True)
        try:
            stdout, stderr = process.communicate(timeout=limit or self.args.limit)
        except BaseException as stopped:
            os.killpg(process.pid, signal.SIGKILL)
            _, stderr = process.communicate()
            if isinstance(stopped, subprocess.TimeoutExpired):
                raise Failed(f"{command[0]} was stopped after {stopped.timeout:.0f} seconds\n{stderr[-4000:]}") from stopped
            raise
        if check and process.returncode != 0:
            raise Failed(f"{command[0]} failed with {process.returncode}\n{stdout[-2000:]}\n{stderr[-4000:]}")
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    # Parts

    def build(self) -> None:
        for name in [] if self.args.programs else BUILDS:
            last = ["--no-run"] if name == "kernels" else []
            key = f"build {name}"
            self.results.pop(key, None)  # cargo knows what is built
            self.measure(key, lambda: {"built": self.run(self.cargo(name, *last), limit=BUILD_LIMIT).returncode == 0})
            if "error" in self.results[key]:
                self.not_built.add(name)

    def kernels(self) -> None:
        def tests() -> dict:
            # Also raises if the tests were not built.
            program = self.program("kernels")
            command = [program] if self.args.programs else self.cargo("kernels", "--")
            if not self.args.programs:
                self.run(self.cargo("kernels", "--no-run"), limit=BUILD_LIMIT)
            started = time.time()
            device = self.args.device.removesuffix(":0")
            done = self.run([*command, "--test-threads", "1"], check=False, LONGROPE_DEVICE=device)
            counts = re.findall(r"(\d+) passed; (\d+) failed", done.stdout)
            passed, failed = (sum(int(count[i]) for count in counts) for i in (0, 1))
            value = {"passed": passed, "failed": failed, "seconds": round(time.time() - started)}
            if done.returncode != 0 or passed == 0:
                value["error"] = f"ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            return value

        self.measure("kernels", tests)

    def nats(self, device: str, precision: str, context: int) -> float:
        command = [self.program("longrope"), "eval", "ppl", TINY, "--text", TEXT, "--contexts", context, "--windows", 4]
        command += ["--rope", "yarn@8192", "--device", device, "--set", f"precision={precision}", "--json"]
        report = json.loads(self.run(command).stdout)
        return find(report, "nll_nats")

    def parity(self) -> None:
        for precision in NEAR:
            for context in (256, 2048):

                def both() -> dict:
                    here = self.nats("flex", "f32", context)
                    there = self.nats(self.args.device, precision, context)
                    near = abs(here - there) < NEAR[precision]
                    value = {"cpu": here, "device": there, "near": near}
                    return value if near else {**value, "error": f"differs by more than {NEAR[precision]:g} nats per token"}

                self.measure(f"parity {precision} {context}", both)

    def attention(self) -> None:
        heads, key_heads, width = HEADS[self.args.shape]
        for length in self.args.lengths:
            for backward in (False, True):
                case = {"kind": "attention", "length": length, "backward": backward}

                def both() -> dict:
                    command = [self.program("kernel_times"), "attention", "--seq", length, "--heads", heads, "--kv-heads"]
                    command += [key_heads, "--head-dim", width, "--device", self.args.device.removesuffix(":0")]
                    command += ["--dtype", self.args.dtype, "--repeat", 3] + (["--backward"] if backward else [])
                    return self.in_turns(lambda: json.loads(self.run(command).stdout)["seconds"], case)

                self.measure(f"attention {length}{' with gradients' if backward else ''}", both)

    def checkpoint(self) -> Path:
        folder = self.out / f"random-{self.args.shape}"
        if not (folder / "model.safetensors.index.json").exists():  # written last
            self.run([self.program("random_checkpoint"), folder, self.args.shape])
        return folder

    def tokens(self, length: int) -> Path:
        """Token ids for both sides, as many as the windows need."""
        file = self.out / f"tokens-{length}.json"
        file.write_text(json.dumps(random.Random(length).choices(IDS, k=WINDOWS * length)))
        return file

    def ppl(self) -> None:
        for length in self.args.lengths:

            def both() -> dict:
                model, tokens = self.checkpoint(), self.tokens(length)
                command = [self.program("longrope"), "eval", "ppl", model, "--tokens", tokens, "--contexts", length]
                command += ["--windows", WINDOWS, "--rope", f"yarn@{8 * length}", "--device", self.args.device, "--json"]
                command += ["--set", f"precision={self.args.dtype}"]

                def ours() -> float:
                    report = json.loads(self.run(command).stdout)
                    return find(report, "elapsed_secs") / find(report, "n_windows")

                case = {"kind": "forward", "length": length, "model": str(model), "tokens": str(tokens)}
                return self.in_turns(ours, case, rounds=1)

            self.measure(f"ppl {length}", both)

    def lora(self) -> None:
        length = min(self.args.lengths)
        folder = self.out / "lora"

        def both() -> dict:
            model, tokens = self.checkpoint(), self.tokens(length)
            command = [self.program("longrope"), "finetune", model, "--tokens", tokens, "--rope", f"yarn@{8 * length}", "--lora"]
            command += ["--context", length, "--steps", 4, "--device", self.args.device, "--dashboard", "off", "--out", folder]
            command += ["--set", "train.warmup-steps=1", "--set", "train.accumulate=1", "--set", "train.save-every=100"]
            command += ["--set", "train.precision=bf16"] if self.args.dtype == "bf16" else []

            def ours() -> float:
                shutil.rmtree(folder, ignore_errors=True)
                self.run(command)
                lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
                speeds = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
                return length / max(speeds)

            case = {"kind": "lora", "length": length, "model": str(model), "tokens": str(tokens)}
            return self.in_turns(ours, case, rounds=1)

        self.measure(f"lora {length}", both)

    def in_turns(self, ours: Callable[[], float], case: dict, rounds: int | None = None) -> dict:
        """Seconds of both sides. If PyTorch fails, those of longrope are kept."""
        case = {**case, "shape": self.args.shape, "device": self.args.torch_device, "dtype": self.args.dtype}
        ours_times, theirs_times, error = [], [], None
        for _ in range(rounds or self.args.rounds):
            ours_times.append(ours())
            if self.args.torch_device != "none" and error is None:
                try:
                    done = self.run([sys.executable, __file__, "--torch-case", json.dumps(case)])
                    theirs_times.append(json.loads(done.stdout.splitlines()[-1])["seconds"])
                except Failed as failed:
                    error = f"PyTorch: {failed}"
        result = {"longrope_seconds": statistics.median(ours_times)}
        if error:
            return {**result, "error": error}
        if theirs_times:
            result["pytorch_seconds"] = statistics.median(theirs_times)
            result["ratio"] = round(result["pytorch_seconds"] / result["longrope_seconds"], 2)
        return result

    def table(self) -> list:
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
        if self.failed():
            lines += ["", "| failed | why (results.json has the messages) |", "|---|---|"]
            lines += [f"| {key} | {self.results[key]['error'].splitlines()[0].replace('|', '/')} |" for key in self.failed()]
        (self.out / "table.md").write_text("\n".join(lines) + "\n")
        return lines

    def failed(self) -> list:
        return [key for key, value in self.results.items() if "error" in value]


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
    # The windows that longrope gets, one after the other.
    ids = torch.tensor(json.loads(Path(case["tokens"]).read_text()), device=device)
    windows = itertools.cycle(ids.view(WINDOWS, 1, case["length"]))

    if case["kind"] == "forward":

        def forward() -> None:
            with torch.no_grad():
                hidden = model.model(next(windows)).last_hidden_state[0]
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
        ids = next(windows)
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
    parser.add_argument("--features", default="cuda-nvrtc", help="cargo features of the build (default: %(default)s)")
    parser.add_argument("--programs", type=Path, help="folder with programs that are built already")
    parser.add_argument("--shape", choices=["8b", "tiny"], default="8b", help="of the random model (default: %(default)s)")
    parser.add_argument("--lengths", default="8192,32768,131072", help="tokens (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=480,
                        help="seconds after which a program is stopped, but not a build (default: %(default)s)")
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
        bench.store()
    for part in PARTS:
        if args.only in (None, part):
            getattr(bench, part)()
            lines = bench.table()
    print("\n".join(lines))
    sys.exit(1 if bench.failed() else 0)


if __name__ == "__main__":
    main()
