"""Shared code of the parity checks: losses from transformers, losses from `longrope eval ppl`, and their difference."""

import argparse
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig

TOLERANCE_NATS = 1e-4
EAGER_UP_TO = 2048  # tokens; eager attention allocates [heads, L, L]
HEAD_CHUNK = 1024  # positions whose logits exist at the same time


@dataclass(frozen=True)
class WindowLoss:
    """One window and the losses of its scored tokens; `positions` count from the window's first token."""

    tokens: list[int]
    positions: list[int]
    nll_nats: list[float]


@dataclass(frozen=True)
class Difference:
    """Both sides on the same tokens."""

    ppl_longrope: float
    ppl_transformers: float
    max_nats: float
    mean_nats: float

    def passes(self, tolerance: float) -> bool:
        return self.max_nats <= tolerance  # false for NaN


def parse_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Adds the common options, parses the command line and sets up PyTorch and transformers."""
    parser.add_argument("--text", type=Path, required=True, help="text file")
    bos_help = "first token of a window: the text's, BOS in its place, or BOS in front of it (default: %(default)s)"
    parser.add_argument("--bos", choices=["keep", "replace", "prepend"], default="keep", help=bos_help)
    parser.add_argument("--attention", choices=["auto", "eager", "sdpa"], default="auto", help="auto: eager up to 2048")
    angles_help = "how both sides compute angles: f32 (transformers unchanged, longrope with compat-f32) or f64 (default: %(default)s)"
    parser.add_argument("--angles", choices=["f32", "f64"], default="f64", help=angles_help)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE_NATS, help="nats (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: all cores)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"transformers {transformers.__version__}, f32, angles in {args.angles}\n")
    return args


def perplexity(nll_nats: torch.Tensor) -> float:
    return math.exp(nll_nats.double().mean())


def encode(model_dir: Path, text: str) -> list[int]:
    """Token ids of the text, with the special tokens that the tokenizer adds."""
    return AutoTokenizer.from_pretrained(model_dir)(text, verbose=False).input_ids


def windows_of(model_dir: Path, tokens: list[int], context: int, bos: str) -> Callable[[int], list[int]]:
    """Returns a function from the start of a window in the text to its `context` tokens, BOS included."""
    bos_id = AutoConfig.from_pretrained(model_dir).bos_token_id

    def window_at(start: int) -> list[int]:
        match bos:
            case "keep":
                return tokens[start : start + context]
            case "replace":
                return [bos_id, *tokens[start + 1 : start + context]]
            case _:
                return [bos_id, *tokens[start : start + context - 1]]

    return window_at


def original_context(config: PreTrainedConfig) -> int:
    """Original context of the model."""
    return config.rope_parameters.get("original_max_position_embeddings") or config.max_position_embeddings


@contextmanager
def f64_arithmetic() -> Iterator[None]:
    """Gives transformers f64 where it asks for f32 or for the default type."""
    default = torch.get_default_dtype()
    with ExitStack() as stack:
        for name in ("float", "float32"):
            stack.enter_context(mock.patch.object(torch, name, torch.float64))
        stack.enter_context(mock.patch.object(torch.Tensor, "float", torch.Tensor.double))
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


def use_f64_angles(model: torch.nn.Module) -> None:
    """Runs the model's own rotary embedding in f64; cos and sin are rounded at the end."""
    with f64_arithmetic():
        rotary = type(model.base_model.rotary_emb)(model.config)
    rotary.forward = f64_arithmetic()(rotary.forward)
    model.base_model.rotary_emb = rotary


def load(model_dir: Path, config: PreTrainedConfig, attention: str, angles: str, context: int) -> torch.nn.Module:
    """Loads the model in f32 on the CPU. Load it anew for each context: dynamic RoPE remembers its longest input."""
    if attention == "auto":
        attention = "eager" if context <= EAGER_UP_TO else "sdpa"
    model = AutoModelForCausalLM.from_pretrained(
        model_dir, config=config, dtype=torch.float32, attn_implementation=attention
    )
    if angles == "f64":
        use_f64_angles(model)
    return model.eval()


@torch.inference_mode()
def losses(model: torch.nn.Module, tokens: list[int]) -> torch.Tensor:
    """Loss in nats of every token except the first, from one forward pass."""
    ids = torch.tensor(tokens)
    hidden = model.base_model(input_ids=ids[None], use_cache=False).last_hidden_state[0, :-1]
    head = model.get_output_embeddings()
    chunks = [
        torch.nn.functional.cross_entropy(head(states).float(), targets, reduction="none")
        for states, targets in zip(hidden.split(HEAD_CHUNK), ids[1:].split(HEAD_CHUNK), strict=True)
    ]
    return torch.cat(chunks)


def timed_losses(model: torch.nn.Module, windows: list[list[int]]) -> tuple[list[torch.Tensor], float]:
    """Losses of every window, and the elapsed seconds."""
    started = time.perf_counter()
    return [losses(model, window) for window in windows], time.perf_counter() - started


def run_longrope(
    binary: Path, model_dir: Path, rope: str, tokens: list[int], context: int, n_windows: int, bos: str, angles: str
) -> tuple[dict[str, Any], list[WindowLoss]]:
    """Runs `longrope eval ppl` on the tokens. Returns its result row and the loss of every scored token."""
    with tempfile.TemporaryDirectory() as folder:
        tokens_file, per_token_file = Path(folder, "tokens.json"), Path(folder, "per-token.jsonl")
        tokens_file.write_text(json.dumps(tokens))
        options = {
            "--model": model_dir,
            "--rope": rope,
            "--tokens": tokens_file,
            "--contexts": context,
            "--windows": n_windows,
            "--set": f"eval.angles={'f64' if angles == 'f64' else 'compat-f32'}",
            "--per-token": per_token_file,
        }
        command = [binary, "eval", "ppl", "--json", *(part for option in options.items() for part in option)]
        command = [str(part) for part in command]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"error: `{' '.join(command)}` exited with {done.returncode}\n{done.stderr}")
        (result,) = json.loads(done.stdout)["results"]
        windows = read_per_token(per_token_file, windows_of(model_dir, tokens, context, bos))
    n_scored = sum(len(window.positions) for window in windows)
    if (len(windows), n_scored) != (result["n_windows"], result["n_tokens"]):
        raise SystemExit(
            f"error: the per-token file has {len(windows)} windows and {n_scored} tokens, "
            f"the result says {result['n_windows']} and {result['n_tokens']}"
        )
    return result, windows


def read_per_token(path: Path, window_at: Callable[[int], list[int]]) -> list[WindowLoss]:
    """Reads a per-token file and checks that its windows are the expected ones."""
    windows: dict[int, WindowLoss] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        row = json.loads(line)
        missing = {"document", "window", "window_start", "position", "token", "nll_nats"} - row.keys()
        if missing:
            raise SystemExit(f"error: per-token file, line {number}: no field {', '.join(sorted(missing))}")
        if row["window"] not in windows:
            windows[row["window"]] = WindowLoss(window_at(row["window_start"]), [], [])
        window, position = windows[row["window"]], row["position"]
        expected = window.tokens[position] if 0 < position < len(window.tokens) else None
        if row["document"] != 0 or row["token"] != expected:
            raise SystemExit(
                f"error: per-token file, line {number}: document {row['document']} has token {row['token']} "
                f"at position {position} of the window that starts at {row['window_start']}, "
                f"expected document 0, token {expected}\n"
                "hint: --bos says how a window begins"
            )
        window.positions.append(position)
        window.nll_nats.append(row["nll_nats"])
    if not windows:
        raise SystemExit("error: the per-token file is empty")
    return list(windows.values())


def compare(windows: list[WindowLoss], reference: list[torch.Tensor]) -> Difference:
    """Compares the losses of the scored tokens with those of transformers for the same windows."""
    ours = torch.cat([torch.tensor(window.nll_nats, dtype=torch.float64) for window in windows])
    theirs = torch.cat(
        [nll[torch.tensor(window.positions) - 1] for window, nll in zip(windows, reference, strict=True)]
    ).double()
    delta = (ours - theirs).abs()
    return Difference(perplexity(ours), perplexity(theirs), delta.max().item(), delta.mean().item())


def print_row(*cells: object) -> None:
    """One row of a markdown table, flushed so that a long run can be watched."""
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def print_header(*titles: str) -> None:
    print_row(*titles)
    print("|" + "---|" * len(titles), flush=True)
