"""Losses of tokens as vLLM computes them, for `longrope verify --with vllm`.

Reads a request, one JSON object, from the file given as argument or from stdin:
    {"model": folder, "sequences": [{"tokens": [ids], "context": tokens}]}
Prints one line of JSON:
    {"runtime": versions, "sequences": [{"context": max_model_len, "nats": [loss of token 1, of token 2, ..]}]}
A loss that is NaN or infinite is null. vLLM chooses the factors when it loads a model, by max_model_len, so a request has
sequences of one context only. Nothing is downloaded, and no code of the model's folder is run.
"""
import json
import math
import os
import sys


def losses(llm, sampling, tokens):
    """The losses of all tokens but the first."""
    output = llm.generate([{"prompt_token_ids": tokens}], sampling)[0]
    nats = [-at[token].logprob for token, at in zip(tokens[1:], output.prompt_logprobs[1:])]
    return [loss if math.isfinite(loss) else None for loss in nats]


def main():
    # What libraries print must not get into the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # This file must not be imported in the place of the library that it is named after.
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != own]
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    # The engine in this process, so that it ends with it.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    with open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin as file:
        request = json.load(file)
    import vllm

    contexts = {sequence["context"] for sequence in request["sequences"]}
    if len(contexts) != 1:
        sys.exit("vLLM has one context at a time, the request has several: " + str(sorted(contexts)))
    context = contexts.pop()
    llm = vllm.LLM(
        model=request["model"],
        dtype="float32",
        max_model_len=context,
        max_num_seqs=1,
        enforce_eager=True,
        enable_prefix_caching=False,
        skip_tokenizer_init=True,
        trust_remote_code=False,
    )
    sampling = vllm.SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=1, detokenize=False)
    sequences = [
        {"context": context, "nats": losses(llm, sampling, sequence["tokens"])}
        for sequence in request["sequences"]
    ]
    runtime = f"vLLM {vllm.__version__}"
    print(json.dumps({"runtime": runtime, "sequences": sequences}), file=answer, flush=True)


if __name__ == "__main__":
    main()
