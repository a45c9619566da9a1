# SPDX-License-Identifier: MIT
"""The OpenAI-compatible server of the wheel with clkv inside, on the loopback address: usage serve_llama.py MODEL [RECIPE]. Sends
requests, two at once among them, and compares the answers with those the same requests get alone. Prints a line per test."""
import ctypes
import json
import sys
import threading
import urllib.request

import xllamacpp

import llama_engine

PROMPTS = ["The capital of France is", "Water boils at a temperature of"]


def parameters(model):
    p = xllamacpp.CommonParams()
    p.model.path = model
    p.n_ctx, p.n_batch, p.n_ubatch, p.n_parallel = 1024, 256, 128, 2
    p.n_gpu_layers = 99
    p.kv_unified = False
    p.ctx_shift = False
    p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    p.hostname, p.port = "127.0.0.1", 0
    return p


def post(address, body):
    request = urllib.request.Request(address + "/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def ask(address, prompt, answers, key):
    body = {"prompt": prompt, "max_tokens": 24, "temperature": 0, "seed": 1}
    answers[key] = post(address, body)["choices"][0]["text"]


def at_once(address, prompts):
    answers = {}
    threads = [threading.Thread(target=ask, args=(address, p, answers, p)) for p in prompts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answers


def with_draft(p, model):
    """The model drafts for itself, from a second context with a cache of its own."""
    p.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
    p.speculative.draft.mparams.path = model
    p.speculative.draft.n_gpu_layers = 99
    return p


def goes_on(model, recipe):
    """An answer longer than a context, whose positions shift on the way."""
    llama_engine.backend.clkv_ggml_set(b"recipe", recipe.encode())
    llama_engine.backend.clkv_ggml_set(b"shift", b"1")
    p = parameters(model)
    p.n_ctx, p.n_batch, p.n_parallel, p.ctx_shift = 256, 128, 1, True
    server = xllamacpp.Server(p)
    body = {"prompt": PROMPTS[0], "max_tokens": 600, "temperature": 0, "ignore_eos": True}
    n = post(server.listening_address, body)["usage"]["completion_tokens"]
    print("%s: context shift (%s), %d tokens in a context of 256" % ("passed" if n == 600 else "FAILED", recipe, n), flush=True)
    return n == 600


def judge(name, answers, wanted):
    """Batches of several rows round otherwise than those of one, so that texts part at some token; not at the first few."""
    same = all(wanted.get(p) and answers.get(p, "")[:12] == wanted[p][:12] for p in PROMPTS)
    print("%s: %s" % ("passed" if same else "FAILED", name), flush=True)
    return same


def main(model, recipe="kivi:bits=4"):
    if not llama_engine.load_backend():
        sys.exit("libggml-clkv.so wasn't loaded")
    passes = llama_engine.backend.clkv_ggml_passes
    passes.restype = ctypes.c_ulonglong
    llama_engine.backend.clkv_ggml_set(b"recipe", recipe.encode())
    server = xllamacpp.Server(parameters(model))
    alone = {}
    for p in PROMPTS:
        alone.update(at_once(server.listening_address, [p]))
    good = judge("two requests at once", at_once(server.listening_address, PROMPTS), alone)
    # 24 tokens of each alone, 24 passes of both at best: fewer, and they didn't go through clkv
    assert passes() >= 60, passes()
    del server
    drafting = xllamacpp.Server(with_draft(parameters(model), model))
    good = judge("drafts of a second context", at_once(drafting.listening_address, PROMPTS), alone) and good
    del drafting
    good = goes_on(model, recipe) and good
    for p in PROMPTS:
        print("%s ->%s" % (p, json.dumps(alone[p])))
    return 0 if good else 1


status = main(*sys.argv[1:])
sys.stdout.flush()
sys.exit(status)
