"""Checks that transformers on an exported folder and `longrope` on model and `rope.json` give the same losses.

    pip install torch transformers==5.23.*
    python check_export.py EXPORT --source MODEL --rope rope.json --text book.txt --longrope ../target/release/longrope

Each context is one forward pass of a freshly loaded model. transformers uses the short factors of a `longrope` config
if and only if the input is not longer than the original context, so the contexts around it matter most.
"""

import argparse
import sys
from pathlib import Path

from transformers import AutoConfig

import parity


def main() -> int:
    parser = argparse.ArgumentParser(description="Check an exported folder against the model it was made from.")
    parser.add_argument("export", type=Path, metavar="EXPORT", help="folder written by `longrope export`")
    parser.add_argument("--source", type=Path, required=True, help="folder of the exported model")
    parser.add_argument("--rope", type=Path, required=True, help="the exported rope.json")
    parser.add_argument("--longrope", type=Path, required=True, help="the longrope binary")
    parser.add_argument("--contexts", help="default: the original context, one token more, eight times as many")
    args = parity.parse_args(parser)

    text = args.text.read_text(encoding="utf-8")
    tokens = parity.encode(args.source, text)
    same_tokens = parity.encode(args.export, text) == tokens
    original = parity.original_context(AutoConfig.from_pretrained(args.export))
    contexts = [original, original + 1, 8 * original]
    if args.contexts:
        contexts = [int(context) for context in args.contexts.split(",")]
    if len(tokens) < max(contexts):
        raise SystemExit(f"error: the text has {len(tokens)} tokens, expected at least {max(contexts)}")

    passes = same_tokens
    parity.print_header(
        "context", "ppl longrope", "ppl transformers", "max \\|Δ nll\\|", "mean \\|Δ nll\\|", "verdict"
    )
    for context in contexts:
        _, ours = parity.run_longrope(args.longrope, args.source, str(args.rope), tokens, context, 1, args.bos, args.angles)
        model = parity.load(args.export, AutoConfig.from_pretrained(args.export), args.attention, args.angles, context)
        reference = [parity.losses(model, window.tokens) for window in ours]
        difference = parity.compare(ours, reference)
        passes &= difference.passes(args.tolerance)
        parity.print_row(
            context,
            f"{difference.ppl_longrope:.3f}",
            f"{difference.ppl_transformers:.3f}",
            f"{difference.max_nats:.1e}",
            f"{difference.mean_nats:.1e}",
            "PASS" if difference.passes(args.tolerance) else "FAIL",
        )
    print(f"\ntokenizer: {'same ids as the source' if same_tokens else 'ids differ from the source'}")
    print("PASS" if passes else "FAIL")
    return int(not passes)


if __name__ == "__main__":
    sys.exit(main())
