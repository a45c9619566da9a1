# SPDX-License-Identifier: MIT
"""Tests of clkv-convert with state files that an unmodified llama.cpp writes and reads: usage convert_llama.py MODEL TEXT CONVERT.
Prints a line per test."""
import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile

from llama_engine import F32, Q8_0, Engine, divergence, glue, np, run_tests

MODEL, TEXT, CONVERT = sys.argv[1], open(sys.argv[2], encoding="utf-8").read(), sys.argv[3]
NOISE = 5e-2  # nats, of one row: Q4_1 products round activations to 8 bits, so any last bit grows
THREADS = int(os.environ.get("CLKV_GGML_THREADS", "2"))
N = 150  # tokens that are saved
FOLDER = tempfile.TemporaryDirectory()


@contextlib.contextmanager
def engine(**options):
    e = Engine(MODEL, None, n_threads=THREADS, **dict(dict(n_ctx=512, n_ubatch=128), **options))
    try:
        yield e
    finally:
        e.close()


def path(name):
    return os.path.join(FOLDER.name, name)


def save(e, name, tokens, seq=0):
    """seq -1: the whole context, as a session."""
    ids = (ctypes.c_int32 * len(tokens))(*tokens)
    assert glue.glue_save_file(e.g, seq, path(name).encode(), ids, ctypes.c_size_t(len(tokens)))


def load(e, name, seq=0):
    """Returns the tokens in the file, or None if the engine doesn't take it."""
    ids, n = (ctypes.c_int32 * 1024)(), ctypes.c_size_t(0)
    done = glue.glue_load_file(e.g, seq, path(name).encode(), ids, ctypes.c_size_t(1024), ctypes.byref(n))
    return list(ids[:n.value]) if done else None


def run(*words):
    return subprocess.run([CONVERT, *words], capture_output=True, text=True)


def convert(*words):
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def there(state, recipe="f16", *words):
    """A state into snap."""
    convert("--in", path(state), "--out", path("snap"), "--recipe", recipe, "--model", MODEL, "--tokens", path("ids"), *words)


def back(state, *words):
    convert("--in", path("snap"), "--out", path(state), "--tokens", path("ids"), *words)


def contents(name):
    with open(path(name), "rb") as f:
        return f.read()


def goes_on(name, token, n=N, seq=0, **options):
    """Logits behind a state in a new engine, and the tokens that the file has."""
    with engine(**options) as e:
        ids = load(e, name, seq)
        assert ids is not None, name
        return e.decode([token], n, seq=seq), ids


def there_and_back():
    """f16 and back is the same file, with V by token and by channel: logits are equal, bit by bit."""
    for flash, words in ((1, ()), (0, ("--v-trans",))):
        with engine(flash=flash) as e:
            t = e.tokens(TEXT)
            e.decode(t[:N], 0)
            save(e, "state", t[:N])
            want = e.decode([t[N]], N)
        there("state")
        back("again", *words)
        assert contents("again") == contents("state")
        got, ids = goes_on("again", t[N], flash=flash)
        assert (got == want).all() and ids == t[:N]


def layouts():
    """V by token becomes V by channel and f32, which another context takes."""
    with engine() as e:
        t = e.tokens(TEXT)
        e.decode(t[:N], 0)
        want = e.decode([t[N]], N)
        e.remove(0, N, -1)
        save(e, "state", t[:N])
    there("state")
    back("again", "--v-trans", "--type", "f32")
    got, _ = goes_on("again", t[N], flash=0, type_k=F32, type_v=F32)
    assert divergence(want, got).max() < NOISE  # another form of attention
    back("wrong", "--v-trans")
    with engine() as e:
        assert load(e, "wrong") is None


def full_precision():
    """Rows in f32 are rounded to half, which is what an f16 cache would hold."""
    with engine(type_k=F32, type_v=F32) as e:
        t = e.tokens(TEXT)
        e.decode(t[:N], 0)
        save(e, "state", t[:N])
        want = e.decode([t[N]], N)
    there("state")
    back("again", "--type", "f32")
    assert len(contents("again")) == len(contents("state"))
    got, _ = goes_on("again", t[N], type_k=F32, type_v=F32)
    assert divergence(want, got).max() < NOISE


def sequences():
    """Each of several sequences, in streams of their own and in one, out of a session; back as a sequence and as a session."""
    for unified in (0, 1):
        with engine(n_seq=3, unified=unified) as e:
            t = e.tokens(TEXT)
            starts = {0: 0, 2: 100}
            e.decode_many([t[:80], t[100:180]], [0, 0], [0, 2])
            for i in range(80, N):  # cells of both take turns
                e.decode_many([[t[i]], [t[100 + i]]], [i, i], [0, 2])
            save(e, "session", t[:N], -1)
            want = {s: e.decode([t[start + N]], N, seq=s) for s, start in starts.items()}
        assert "2 sequences" in run("--in", path("session"), "--out", path("snap"), "--model", MODEL).stderr
        streams = ("--streams", "3") if not unified else ()
        for s, start in starts.items():
            there("session", "f16", "--seq", str(s))
            back("sequence", "--seq", str(s), *streams)
            back("alone", "--seq", str(s), "--session", "--arch", "llama", *streams)
            with engine(n_seq=3, unified=unified) as e:
                assert load(e, "sequence", 1) == t[:N]
                got = e.decode([t[start + N]], N, seq=1)
                assert load(e, "alone", -1) == t[:N]
                same = e.decode([t[start + N]], N, seq=s)
            # in a unified cache, cells of the other sequence are summed over, masked
            assert divergence(want[s], got).max() < NOISE
            assert unified or ((got == want[s]).all() and (same == want[s]).all())
            assert divergence(got, same).max() < NOISE


def recipes():
    """Codecs between: what the engine computes behind them changes little; files shrink."""
    with engine() as e:
        t = e.tokens(TEXT)
        n = 400
        e.decode(t[:n], 0)
        save(e, "state", t[:n])
        want = [e.decode([x], n + i) for i, x in enumerate(t[n:n + 16])]
    # mean over 16 rows, three times what each codec loses with this text
    for recipe, most, share in (("kivi:bits=8 ; window=0", 0.03, 0.7), ("kvcomp ; window=0", 0.15, 0.4)):
        there("state", recipe)
        back("again")
        with engine() as e:
            assert load(e, "again") == t[:n]
            kl = np.mean([divergence(w, e.decode([x], n + i)).max() for i, (w, x) in enumerate(zip(want, t[n:]))])
        size = os.path.getsize(path("snap")) / os.path.getsize(path("state"))
        print("%s: KL %.4f, %.3f of the state's bytes" % (recipe, kl, size))
        assert kl < most and size < share, (recipe, kl, size)


def refusals():
    """What can't be converted is said in a sentence."""
    with engine(type_k=Q8_0) as e:
        t = e.tokens(TEXT)
        e.decode(t[:40], 0)
        save(e, "quantized", t[:40])
    with engine() as e:
        e.decode(t[:40], 0)
        save(e, "state", t[:40])
        e.remove(0, 10, 20)
        save(e, "hole", t[:40])
    for state, words, said in (("quantized", ("--kv-heads", "3"), "is q8_0"), ("hole", ("--kv-heads", "3"), "position"),
                               ("state", (), "--kv-heads"), ("state", ("--kv-heads", "5"), "192 values"),
                               ("state", ("--model", MODEL, "--recipe", "snapkv:budget=64"), "keeps some tokens"),
                               ("state", ("--model", MODEL, "--recipe", "spark"), "queries")):
        done = run("--in", path(state), "--out", path("none"), *words)
        assert done.returncode == 1 and said in done.stderr, (state, words, done.stderr)
        assert not os.path.exists(path("none"))


TESTS = [there_and_back, layouts, full_precision, sequences, recipes, refusals]
sys.exit(run_tests(TESTS))
