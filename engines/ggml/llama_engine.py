# SPDX-License-Identifier: MIT
"""An unmodified llama.cpp (the wheel xllamacpp) in this process, with or without clkv inside, for check_llama.py,
compare_llama.py and convert_llama.py. Needs numpy; the libraries' paths come from CLKV_GGML_GLUE and CLKV_GGML_BACKEND."""
import ctypes
import importlib.util
import os
import sys

import numpy as np

F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8  # enum ggml_type


class Options(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int) for n in ("n_ctx", "n_ubatch", "n_threads", "type_k", "type_v", "flash", "n_seq",
                                            "unified", "clkv", "swa_full")]


def wheel():
    """The path of the wheel's library, or None."""
    spec = importlib.util.find_spec("xllamacpp")
    if not spec:
        return None
    folder = spec.submodule_search_locations[0]
    return next((os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".so")), None)


llama = ctypes.CDLL(wheel(), mode=ctypes.RTLD_GLOBAL)
glue = ctypes.CDLL(os.environ["CLKV_GGML_GLUE"])
for name, result in {"glue_open": ctypes.c_void_p, "glue_state_get": ctypes.c_size_t,
                     "glue_state_set": ctypes.c_size_t}.items():
    getattr(glue, name).restype = result
cases = ctypes.CDLL(os.environ["CLKV_GGML_CASES"]) if "CLKV_GGML_CASES" in os.environ else None
backend = None


def load_backend():
    """Loads libggml-clkv.so as any program does. Returns 1 if it's in."""
    global backend
    if backend is None:
        llama.ggml_backend_load.restype = ctypes.c_void_p
        if not llama.ggml_backend_load(os.environ["CLKV_GGML_BACKEND"].encode()):
            return 0
        backend = ctypes.CDLL(os.environ["CLKV_GGML_BACKEND"])
    return 1


def memory():
    """MiB of this process that lie in memory: all of them (RSS), and those that no file is behind."""
    with open("/proc/self/status") as f:
        lines = dict(line.split(":", 1) for line in f)
    return [int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon")]


class Engine:
    """A model and a context. clkv: a recipe, or None for the engine's own cache."""

    def __init__(self, model, clkv=None, n_ctx=2048, n_ubatch=512, n_threads=2, type_k=F16, type_v=F16, flash=1,
                 n_seq=1, unified=0, verbose=0, **settings):
        if clkv:
            if not load_backend():
                raise RuntimeError("libggml-clkv.so wasn't loaded")
            for name, value in dict(dict(shift=0), recipe=clkv, **settings).items():
                backend.clkv_ggml_set(name.encode(), str(value).encode())
        self.options = Options(n_ctx, n_ubatch, n_threads, type_k, type_v, flash, n_seq, unified, bool(clkv), 0)
        self.g = ctypes.c_void_p(glue.glue_open(model.encode(), ctypes.byref(self.options), verbose))
        if not self.g:
            raise RuntimeError("llama.cpp has no context")
        self.vocab = glue.glue_n_vocab(self.g)

    def close(self):
        glue.glue_close(self.g)
        self.g = None

    def tokens(self, text):
        data = text.encode()
        out = (ctypes.c_int32 * (len(data) + 8))()
        n = glue.glue_tokenize(self.g, data, len(data), out, len(out))
        return list(out[:n])

    def text(self, tokens):
        out = b""
        for t in tokens:
            piece = ctypes.create_string_buffer(256)
            n = glue.glue_piece(self.g, t, piece, 256)
            out += piece.raw[:max(0, n)]
        return out.decode(errors="replace")

    def decode(self, tokens, pos, seq=0, all=False, logits=True):
        """Logits [rows][vocab] of the last token, or of all; raises if the engine fails."""
        return self.decode_many([tokens], [pos], [seq], all, logits)[0]

    def decode_many(self, tokens, pos, seqs, all=False, logits=True):
        n = len(tokens[0])
        rows = n if all else 1
        out = np.empty((len(seqs), rows, self.vocab), np.float32) if logits else None
        flat = [t for row in tokens for t in row]
        status = glue.glue_decode(self.g, len(seqs), (ctypes.c_int32 * len(seqs))(*seqs),
                                  (ctypes.c_int32 * len(seqs))(*pos), n, (ctypes.c_int32 * len(flat))(*flat), int(all),
                                  out.ctypes.data_as(ctypes.c_void_p) if logits else None)
        if status:
            raise RuntimeError("llama_decode returned %d" % status)
        return out if logits else [None] * len(seqs)

    def generate(self, tokens, n, seq=0, pos=0):
        """Greedy tokens behind a prompt."""
        out = []
        logits = self.decode(tokens, pos, seq)
        pos += len(tokens)
        for _ in range(n):
            out.append(int(logits[-1].argmax()))
            logits = self.decode(out[-1:], pos, seq)
            pos += 1
        return out

    def remove(self, seq, start, end):
        return glue.glue_remove(self.g, seq, start, end)

    def copy(self, a, b):
        glue.glue_copy(self.g, a, b)

    def shift(self, seq, start, end, by):
        glue.glue_shift(self.g, seq, start, end, by)

    def clear(self, data=1):
        glue.glue_clear(self.g, data)

    def state(self, seq=0):
        n = glue.glue_state_get(self.g, seq, None, ctypes.c_size_t(0))
        data = (ctypes.c_uint8 * n)()
        return bytes(data[:glue.glue_state_get(self.g, seq, data, ctypes.c_size_t(n))])

    def restore(self, data, seq=0):
        return glue.glue_state_set(self.g, seq, data, ctypes.c_size_t(len(data)))


class Case(ctypes.Structure):
    """struct graph_case of ggml_cases.c."""
    _fields_ = [(n, ctypes.c_int) for n in ("dim_k", "dim_v", "q_heads", "kv_heads", "cells", "first", "rows")] + \
               [("softcap", ctypes.c_float), ("max_bias", ctypes.c_float)] + \
               [(n, ctypes.c_int) for n in ("sinks", "window", "other_dims", "no_rows")]


def run_case(clkv, batches, **options):
    """Attention of two layers over batches (first cell, rows), by the device CLKV0 or by ggml's CPU. Returns a status and the
    results of the last batch."""
    shape = dict(dict(dim_k=64, dim_v=64, q_heads=6, kv_heads=2, cells=256), **options)
    cases.graph_open.restype = ctypes.c_void_p
    if clkv:
        load_backend()
        backend.clkv_ggml_set(b"recipe", clkv.encode())
    c = Case(first=0, rows=max(rows for _, rows in batches), **shape)
    g = ctypes.c_void_p(cases.graph_open(ctypes.byref(c), bool(clkv)))
    for c.first, c.rows in batches:
        out = np.empty((2, c.rows, c.q_heads, c.dim_v), np.float32)
        status = cases.graph_run(g, ctypes.byref(c), out.ctypes.data_as(ctypes.c_void_p))
        if status:
            break
    cases.graph_close(g)
    return status, out


def log_softmax(logits):
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def divergence(reference, other):
    """KL(reference || other) of each row, nats."""
    a, b = log_softmax(reference), log_softmax(other)
    return (np.exp(a) * (a - b)).sum(-1)


def run_tests(tests, names=()):
    """Runs the tests, or those that are named. Returns whether any failed, after a line for each."""
    bad = 0
    for test in tests:
        if names and test.__name__ not in names:
            continue
        try:
            test()
            print("passed:", test.__name__, flush=True)
        except (AssertionError, RuntimeError) as why:
            bad += 1
            line = why.__traceback__.tb_next
            print("FAILED: %s, line %d: %s" % (test.__name__, line.tb_lineno, why), flush=True)
    print("%d failed" % bad)
    return bad != 0
