"""Losses of tokens as transformers computes them, for `longrope verify --with transformers`.

Reads a request, one JSON object, from the file given as argument or from stdin:
    {"model": folder, "device": "cpu" or "cuda:0", "sequences": [{"tokens": [ids], "context": tokens}]}
Prints one line of JSON:
    {"runtime": versions, "sequences": [{"context": tokens, "nats": [loss of token 1, of token 2, ..]}]}
A loss that is NaN or infinite is null. Nothing is downloaded, and no code of the model's folder is run.
"""
import json
import math
import os
import sys

# Rows whose log-softmax is in memory at once.
ROWS = 256


def load(path, device):
    """The model in f32. Classes for text and images are not among those for text alone."""
    import torch
    import transformers

    version = [int(part) for part in transformers.__version__.split(".")[:2]]
    dtype = "dtype" if version >= [4, 56] else "torch_dtype"
    options = {dtype: torch.float32, "local_files_only": True, "trust_remote_code": False}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(path, **options)
    except ValueError as error:
        if "AutoModelForCausalLM" not in str(error):
            raise
        model = transformers.AutoModelForImageTextToText.from_pretrained(path, **options)
    return model.eval().to(device)


def losses(model, tokens, device):
    """The losses of all tokens but the first, from one forward pass, so that its length chooses the factors."""
    import torch

    ids = torch.tensor([tokens], device=device)
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0]
        nats = []
        for start in range(0, len(tokens) - 1, ROWS):
            end = min(start + ROWS, len(tokens) - 1)
            log_p = torch.log_softmax(logits[start:end].double(), -1)
            targets = ids[0, start + 1 : end + 1, None]
            nats += (-log_p.gather(1, targets)[:, 0]).tolist()
    return [loss if math.isfinite(loss) else None for loss in nats]


def main():
    # What libraries print must not get into the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # This file must not be imported in the place of the library that it is named after.
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != own]
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    with open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin as file:
        request = json.load(file)
    import torch
    import transformers

    device = request.get("device", "cpu")
    model = load(request["model"], device)
    sequences = []
    for sequence in request["sequences"]:
        tokens = sequence["tokens"]
        sequences.append({"context": len(tokens), "nats": losses(model, tokens, device)})
    runtime = f"transformers {transformers.__version__}, torch {torch.__version__}"
    print(json.dumps({"runtime": runtime, "sequences": sequences}), file=answer, flush=True)


if __name__ == "__main__":
    main()
