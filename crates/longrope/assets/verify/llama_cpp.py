"""Losses of tokens as llama.cpp computes them, for `longrope verify --with llama.cpp`.

Reads a request, one JSON object, from the file given as argument or from stdin:
    {"model": file, "sequences": [{"tokens": [ids], "context": tokens}]}
Prints one line of JSON:
    {"runtime": versions, "sequences": [{"context": n_ctx, "nats": [loss of token 1, of token 2, ..]}]}
A loss that is NaN or infinite is null. Needs llama-cpp-python. If the variable LLAMA_CPP_LIB_PATH is a folder with a
libllama, that is loaded in place of the one that came with the bindings. Everything is computed on the CPU.
"""
import ctypes
import json
import math
import os
import pathlib
import sys

# Tokens that are computed at once.
BATCH = 512
LIBRARY = "LLAMA_CPP_LIB_PATH"


def load_backends():
    """Loads the backends of a library that keeps them in files of their own, and has none before."""
    folder = os.environ.get(LIBRARY)
    if not folder:
        return
    for name in ("libggml.so", "libggml.dylib", "ggml.dll"):
        path = pathlib.Path(folder, name)
        if path.exists():
            load = getattr(ctypes.CDLL(str(path)), "ggml_backend_load_all_from_path", None)
            if load is not None:
                load.argtypes, load.restype = [ctypes.c_char_p], None
                load(os.fsencode(folder))
            return


def new_context(c, model, n_ctx):
    """A context in f32, without flash attention, whose size chooses the factors."""
    settings = c.llama_context_default_params()
    settings.n_ctx = n_ctx
    settings.n_batch = settings.n_ubatch = min(n_ctx, BATCH)
    settings.type_k = settings.type_v = 0  # GGML_TYPE_F32
    if hasattr(settings, "flash_attn_type"):
        settings.flash_attn_type = 0
    else:
        settings.flash_attn = False
    context = c.llama_init_from_model(model, settings)
    if not context:
        sys.exit(f"llama.cpp makes no context of {n_ctx} tokens")
    return context


def losses(c, np, context, n_vocab, tokens):
    """The losses of all tokens but the first."""
    nats = []
    batch = c.llama_batch_init(BATCH, 0, 1)
    for start in range(0, len(tokens), BATCH):
        part = tokens[start : start + BATCH]
        batch.n_tokens = len(part)
        for i, token in enumerate(part):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, start + i, 1, 1
            batch.seq_id[i][0] = 0
        code = c.llama_decode(context, batch)
        if code:
            sys.exit(f"llama_decode returned {code}")
        for i in range(len(part)):
            if start + i + 1 < len(tokens):
                row = np.ctypeslib.as_array(c.llama_get_logits_ith(context, i), shape=(n_vocab,))
                row = row.astype(np.float64)
                top = row.max()
                nats.append(float(top + np.log(np.exp(row - top).sum()) - row[tokens[start + i + 1]]))
    c.llama_batch_free(batch)
    return [loss if math.isfinite(loss) else None for loss in nats]


def main():
    # What libraries print must not get into the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # This file must not be imported in the place of the library that it is named after.
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != own]
    with open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin as file:
        request = json.load(file)
    import numpy as np
    import llama_cpp
    import llama_cpp.llama_cpp as c

    load_backends()
    c.llama_backend_init()
    settings = c.llama_model_default_params()
    settings.n_gpu_layers = 0
    model = c.llama_model_load_from_file(os.fsencode(request["model"]), settings)
    if not model:
        sys.exit("llama.cpp does not load " + request["model"])
    n_vocab = c.llama_vocab_n_tokens(c.llama_model_get_vocab(model))
    sequences = []
    for sequence in request["sequences"]:
        context = new_context(c, model, sequence["context"])
        nats = losses(c, np, context, n_vocab, sequence["tokens"])
        sequences.append({"context": int(c.llama_n_ctx(context)), "nats": nats})
        c.llama_free(context)
    runtime = f"llama-cpp-python {llama_cpp.__version__}"
    if os.environ.get(LIBRARY):
        runtime += " with the libllama in " + os.environ[LIBRARY]
    print(json.dumps({"runtime": runtime, "sequences": sequences}), file=answer, flush=True)


if __name__ == "__main__":
    main()
