"""Compares `longrope eval ppl` with transformers, token by token, for every RoPE method and context.

    pip install torch transformers==5.23.*
    python check_compare.py MODEL --text book.txt --longrope ../target/release/longrope \
        --methods none,pi,ntk,dynamic-ntk,yarn --contexts 256,512,1024 --windows 6

The text is encoded once with the model's own tokenizer. Both sides get the same tokens and windows, in f32 on the CPU.
Without --longrope only transformers runs, on windows spread evenly over the text.
"""

import argparse
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, PreTrainedConfig

import parity

METHODS = ["none", "pi", "ntk", "dynamic-ntk", "yarn", "checkpoint"]


def rope_config(model_dir: Path, method: str, context: int) -> PreTrainedConfig:
    """The model's config with the RoPE of a method; scale = context / original context, at least 1."""
    config = AutoConfig.from_pretrained(model_dir)
    if method == "checkpoint":
        return config
    original = parity.original_context(config)
    scale = max(context / original, 1.0)
    rope = {k: v for k, v in config.rope_parameters.items() if k in ("rope_theta", "partial_rotary_factor")}
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dim = int(head_dim * rope.get("partial_rotary_factor", 1.0))
    config.max_position_embeddings = original if method == "dynamic-ntk" else max(context, original)
    match method:
        case "none":
            rope |= {"rope_type": "default"}
        case "pi":
            rope |= {"rope_type": "linear", "factor": scale}
        case "ntk":
            rope |= {"rope_type": "default", "rope_theta": rope["rope_theta"] * scale ** (dim / (dim - 2))}
        case "dynamic-ntk":
            rope |= {"rope_type": "dynamic", "factor": scale}
        case "yarn":
            rope |= {"rope_type": "yarn", "factor": scale, "original_max_position_embeddings": original}
        case _:
            raise SystemExit(f"error: method `{method}`, expected one of {', '.join(METHODS)}")
    config.rope_parameters = rope
    return config


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare longrope with transformers, token by token.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="checkpoint folder")
    parser.add_argument("--longrope", type=Path, help="the longrope binary")
    parser.add_argument("--methods", default=",".join(METHODS), help="default: %(default)s")
    parser.add_argument("--contexts", default="256,512,1024", help="default: %(default)s")
    parser.add_argument("--windows", type=int, default=6, help="windows per row (default: %(default)s)")
    args = parity.parse_args(parser)

    tokens = parity.encode(args.model, args.text.read_text(encoding="utf-8"))
    both = ["ppl longrope", "ppl transformers", "max \\|Δ nll\\|", "mean \\|Δ nll\\|", "time ratio", "verdict"]
    parity.print_header("method", "context", *(both if args.longrope else ["ppl transformers", "seconds"]))
    failed = False
    for context in map(int, args.contexts.split(",")):
        if len(tokens) < context:
            raise SystemExit(f"error: the text has {len(tokens)} tokens, expected at least {context}")
        for method in args.methods.split(","):
            config = rope_config(args.model, method, context)
            if args.longrope:
                result, ours = parity.run_longrope(
                    args.longrope, args.model, method, tokens, context, args.windows, args.bos, args.angles
                )
                windows = [window.tokens for window in ours]
            else:
                window_at = parity.windows_of(args.model, tokens, context, args.bos)
                step = (len(tokens) - context) // args.windows
                windows = [window_at(i * step) for i in range(args.windows)]
            model = parity.load(args.model, config, args.attention, args.angles, context)
            reference, seconds = parity.timed_losses(model, windows)
            if not args.longrope:
                parity.print_row(method, context, f"{parity.perplexity(torch.cat(reference)):.3f}", f"{seconds:.2f}")
                continue
            difference = parity.compare(ours, reference)
            passes = difference.passes(args.tolerance)
            failed |= not passes
            parity.print_row(
                method,
                context,
                f"{difference.ppl_longrope:.3f}",
                f"{difference.ppl_transformers:.3f}",
                f"{difference.max_nats:.1e}",
                f"{difference.mean_nats:.1e}",
                f"{seconds / result['elapsed_secs']:.2f}",
                "PASS" if passes else "FAIL",
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
