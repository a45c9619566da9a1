# SPDX-License-Identifier: MIT
"""Tests of libggml-clkv inside an unmodified llama.cpp: usage check_llama.py MODEL TEXT [NAME...]. Prints a line per test."""
import contextlib
import os
import sys
import tempfile

from llama_engine import Q8_0, Engine, divergence, np, run_case, run_tests

MODEL, TEXT = sys.argv[1], open(sys.argv[2], encoding="utf-8").read()
NOISE = 5e-2  # nats, of one row: Q4_1 products round activations to 8 bits, so any last bit grows
THREADS = int(os.environ.get("CLKV_GGML_THREADS", "2"))


@contextlib.contextmanager
def engine(clkv="f16", **options):
    e = Engine(MODEL, clkv, n_threads=THREADS, **dict(dict(n_ctx=512, n_ubatch=128), **options))
    try:
        yield e
    finally:
        e.close()


@contextlib.contextmanager
def said():
    """What is written to stderr meanwhile, the engine's log among it."""
    with tempfile.TemporaryFile() as f:
        old = os.dup(2)
        os.dup2(f.fileno(), 2)
        lines = []
        try:
            yield lines
        finally:
            os.dup2(old, 2)
            os.close(old)
            f.seek(0)
            lines.append(f.read().decode(errors="replace"))


def fails(e, *args, **options):
    """What the log says when a decode fails; it must fail."""
    with said() as lines:
        try:
            e.decode(*args, **options)
        except RuntimeError:
            return_value = True
        else:
            return_value = False
    assert return_value, "it must fail"
    return lines[0]


def tokens(e, n=200):
    return e.tokens(TEXT)[:n]


def f16_is_stock():
    """Logits differ from stock's no more than stock's own forms of attention differ from each other. Prompts and generation."""
    rows = {}
    for name, options in {"off": dict(clkv=None, flash=0), "on": dict(clkv=None), "clkv": {}}.items():
        with engine(**options) as e:
            t = tokens(e)
            rows[name] = np.concatenate([e.decode(t[:180], 0, all=True)] +
                                        [e.decode([x], 180 + i) for i, x in enumerate(t[180:])])
    own, ours = divergence(rows["off"], rows["on"]), divergence(rows["off"], rows["clkv"])
    # rounding noise of 200 rows: its mean is steady to some ten percent
    assert ours.mean() <= 1.5 * own.mean() + 1e-5, (ours.mean(), own.mean())
    assert ours[-20:].mean() <= 2 * own.mean() + 1e-5, (ours[-20:].mean(), own.mean())


def truncation():
    """Tokens that are taken back leave no trace: of generation, of a prompt, all of them."""
    with engine() as e:
        t = tokens(e)
        e.decode(t[:60], 0)
        want = [e.decode([x], 60 + i) for i, x in enumerate(t[60:64])]
        end = 64
        for back in (62, 61, 30, 0):
            e.decode(t[100:104], end)
            e.remove(0, back, -1)
            if back < 60:
                e.decode(t[back:60], back)
            for i in range(max(back, 60), 64):
                got = e.decode([t[i]], i)
            end = 64
            # another split into batches rounds otherwise in the engine's own products
            assert divergence(want[3], got).max() < NOISE, back


def draft():
    """Rows of a draft that was rejected are as if they had never come, bit by bit: they are committed without."""
    with engine("kivi:bits=4 ; window=16") as e:
        t = tokens(e)
        e.decode(t[:100], 0)
        first = e.decode([t[100]], 100)
        for start in range(101, 140):
            e.decode([t[start], 5, 6, 7], start)
            e.remove(0, start + 1, -1)
        got = e.decode([t[140]], 140)
        e.clear()
        e.decode(t[:100], 0)
        again = e.decode([t[100]], 100)
        for start in range(101, 140):
            want = e.decode([t[start]], start)
        want = e.decode([t[140]], 140)
        assert (first == again).all()
        # a batch of four rounds otherwise in the engine's own products
        assert divergence(want, got).max() < NOISE


def streams():
    """Two sequences in one batch are what each is alone."""
    with engine(n_seq=3) as e:
        t = tokens(e)
        e.decode_many([t[:50], t[100:150]], [0, 0], [0, 1])
        both = [e.decode_many([[t[50 + i]], [t[150 + i]]], [50 + i] * 2, [0, 1]) for i in range(4)][-1]
        e.decode(t[20:70], 0, seq=2)
    with engine() as e:
        for i, start in enumerate((0, 100)):
            e.clear()
            e.decode(t[start:start + 50], 0)
            for j in range(4):
                alone = e.decode([t[start + 50 + j]], 50 + j)
            assert divergence(alone, both[i]).max() < NOISE


def clear():
    """A cleared cache is a new one, with the cells' data and without."""
    with engine("kivi:bits=4") as e:
        t = tokens(e)
        want = e.decode(t, 0)
        for data in (0, 1):
            e.clear(data)
            assert (e.decode(t, 0) == want).all()


def state():
    """A saved sequence goes on as the one that was saved: in its place, in another's, and in an engine that computed nothing yet.
    With f16 the rows are the same bits."""
    with engine(n_seq=2) as e:
        t = tokens(e)
        e.decode(t[:150], 0)
        saved = e.state()
        want = e.decode([t[150]], 150)
        assert e.restore(saved) and (e.decode([t[150]], 150) == want).all()
        assert e.restore(saved, 1) and (e.decode([t[150]], 150, seq=1) == want).all()
    for recipe in ("f16", "kvcomp"):
        with engine(recipe, n_seq=2) as e:
            assert e.restore(saved)
            assert e.state() == saved  # before any graph: what was written
            got = e.decode([t[150]], 150)
            assert (got == want).all() if recipe == "f16" else divergence(want, got).max() < 0.5
    for recipe in ("snapkv:budget=64 ; window=16", "spark:keep=0.5"):
        with engine(recipe, n_seq=2) as e:
            assert e.restore(saved)
            assert "a saved state has none" in fails(e, [t[150]], 150)
            e.remove(0, 0, -1)
            e.decode(t[:20], 0)
    with engine(clkv=None, n_seq=2) as e:  # the engine's own cache reads it too
        assert e.restore(saved)
        assert divergence(want, e.decode([t[150]], 150)).max() < NOISE


def copies():
    """A copied sequence goes on by itself; the first isn't touched."""
    with engine("kivi:bits=4", n_seq=3) as e:
        t = tokens(e)
        e.decode(t[:150], 0)
        want = e.decode([t[150]], 150)
        e.remove(0, 150, -1)
        e.copy(0, 1)
        e.copy(1, 2)
        e.decode([t[3]], 150, seq=2)
        for seq in (1, 0):
            got = e.decode([t[150]], 150, seq=seq)
            assert (got == want).all(), seq


def refusals():
    """What can't be had is said in a sentence, before any token of it."""
    with engine(n_seq=2, unified=1) as e:
        t = tokens(e)
        e.decode(t[:10], 0)
        assert "isn't causal" in fails(e, t[:10], 0, seq=1)
    with engine() as e:
        e.decode(t[:40], 0)
        e.remove(0, 10, 20)
        assert "without a shift" in fails(e, t[:20], 40)  # ten go into the hole
        e.clear()
        e.decode(t[:40], 0)
    with engine(flash=0) as e:
        assert "flash attention" in fails(e, t[:10], 0)
    with engine(type_k=Q8_0) as e:
        assert "types must be" in fails(e, t[:10], 0)
    with engine("kivi:bits=11") as e:
        assert "invalid recipe" in fails(e, t[:10], 0)
    with engine(max_tokens="many") as e:
        assert "CLKV_GGML_MAX_TOKENS" in fails(e, t[:10], 0)
    with engine(max_tokens=64) as e:
        e.decode(t[:60], 0)
        assert "pool full" in fails(e, t[:10], 60)
        e.clear()
        e.decode(t[:60], 0)
    with engine(max_tokens=0, device="no such device") as e:
        assert "no such" in fails(e, t[:10], 0)
    with engine(device="") as e:
        e.decode(t[:10], 0)


def selection():
    """A recipe that drops tokens runs, and refuses what it can't take back."""
    with engine("snapkv:budget=64 ; window=16") as e:
        t = tokens(e)
        e.decode(t[:200], 0)
        e.decode([t[0]], 200)
        e.remove(0, 20, -1)
        assert "takes tokens back" in fails(e, [t[1]], 20)
        e.clear()
        e.decode(t[:100], 0)


def prompts_in_parts():
    """A prompt in four batches is what it is in one, also of recipes that judge tokens at its end; a state read in between, and a
    prompt that is cut, change nothing but rounding."""
    for recipe in ("snapkv:budget=256 ; window=32", "h2o:budget=256 ; window=32", "zeromerge:budget=256"):
        rows = {}
        for batch in (1024, 256):
            with engine(recipe, n_ctx=1280, n_ubatch=batch) as e:
                t = tokens(e, 1040)
                for at in range(0, 1024, batch):
                    e.decode(t[at:at + batch], at, logits=False)
                    if batch == 256 and at == 256:
                        e.state()
                rows[batch] = np.concatenate([e.decode([t[1024 + i]], 1024 + i) for i in range(8)])
                e.remove(0, 100, -1)
                assert "takes tokens back" in fails(e, [t[1]], 100), recipe  # it was sealed
        kl = divergence(rows[1024], rows[256]).mean()
        assert kl < NOISE, (recipe, kl)
    with engine("snapkv:budget=64 ; window=16") as e:
        e.decode(t[:200], 0)
        e.remove(0, 150, -1)  # nothing was judged yet
        e.decode([t[150]], 150)
        e.remove(0, 100, -1)
        assert "takes tokens back" in fails(e, [t[1]], 100)
    with engine("snapkv:budget=64 ; window=16", max_open_tokens=256) as e:  # too few for it whole: it's ended on the way
        for at in range(0, 400, 100):
            e.decode(t[at:at + 100], at)
        e.decode([t[400]], 400)
    with engine("f16", max_open_tokens=0) as e:
        e.decode(t[:10], 0)


def shift_by(e, keep, discard):
    e.remove(0, keep, keep + discard)
    e.shift(0, keep + discard, -1, -discard)


def shifted(e, t, shifts, n=8):
    """Logits of n tokens behind 300, with shifts (first that goes, how many, tokens more before the next one)."""
    e.decode(t[:300], 0)
    at, position = 300, 300
    for keep, discard, more in shifts:
        shift_by(e, keep, discard)
        position -= discard
        for i in range(more):
            e.decode([t[at + i]], position + i)
        at, position = at + more, position + more
    return np.concatenate([e.decode([t[at + i]], position + i) for i in range(n)])


def shifts():
    """Positions shift, once and again, as the engine's own do: what a recipe loses without a shift it loses with one, and once more
    what codes lose when they are made anew."""
    plans = {"once": [(4, 120, 0)], "twice": [(4, 120, 30), (20, 60, 0)], "at once twice": [(4, 50, 0), (70, 60, 0)],
             "all but the last": [(0, 299, 0)], "none": []}
    want, other = {}, {}
    for rows, flash in ((want, 1), (other, 0)):
        with engine(clkv=None, flash=flash) as e:
            t = tokens(e, 400)
            for name, plan in plans.items():
                e.clear()
                rows[name] = shifted(e, t, plan)
    own = {name: divergence(want[name], other[name]).mean() for name in plans}
    for recipe in ("f16", "kivi:bits=4", "kvcomp"):
        with engine(recipe, shift=1) as e:
            lost = {}
            for name, plan in plans.items():
                e.clear()
                lost[name] = divergence(want[name], shifted(e, t, plan)).mean()
        # with one token left, any last bit weighs more, in the engine's own forms too; means of 8 rows are noise to a
        # factor of two or so, and keys that are turned wrongly, or not, lose whole nats
        worse = max(1, lost["none"] / own["none"])
        for name, kl in lost.items():
            assert kl < 3 * worse * own[name] + 5e-3, (recipe, lost, own)


def shift_states():
    """Cells that don't follow the tokens: saved and restored, copied, drafts taken back, cleared."""
    with engine("f16", n_seq=2, n_ctx=1024, shift=1) as e:
        t = tokens(e, 420)
        e.decode(t[:300], 0)
        shift_by(e, 4, 120)
        e.decode(t[300:330], 180)
        for i in range(3):  # into what the shift freed, and taken back
            e.decode(t[5:9], 210)
            e.remove(0, 210, -1)
        saved = e.state()
        want = e.decode([t[330]], 210)
        e.remove(0, 210, -1)
        e.copy(0, 1)
        for seq in (1, 0):
            assert (e.decode([t[330]], 210, seq=seq) == want).all()
        e.remove(0, 100, -1)
        got = e.decode(t[:5], 100)
        assert e.restore(saved)
        assert divergence(want, e.decode([t[330]], 210)).max() < NOISE
        # the engine wrote the state in the order of its cells and doesn't say which token is which
        e.remove(0, 100, -1)
        assert "isn't causal" in fails(e, t[:5], 100)
        e.clear()
        e.decode(t[:300], 0)
        shift_by(e, 4, 120)
        e.remove(0, 100, -1)
        assert divergence(e.decode(t[:5], 100), got).max() < NOISE


def endless():
    """Generation goes on across n_ctx again and again."""
    with engine("kivi:bits=4", n_ctx=256, shift=1) as e:
        t = tokens(e, 700)
        at, position = 200, 200
        e.decode(t[:200], 0)
        while at < 700:
            if position == 256:
                shift_by(e, 4, 126)
                position -= 126
            row = e.decode([t[at]], position)
            at, position = at + 1, position + 1
    with engine(clkv=None, n_ctx=256) as e:
        e.decode(t[:4] + t[-position + 4:-1], 0)
        # another life: what was computed before a shift saw tokens that this one doesn't
        assert divergence(e.decode([t[-1]], position - 1), row).mean() < 1


def shifts_refused():
    """Recipes that can't, and no room: one sentence, then nothing but a clear start."""
    for recipe, words in {"snapkv:budget=64 ; window=16": "turn context shift off",
                          "think:keep=0.5": "turn context shift off"}.items():
        with engine(recipe, shift=1) as e:
            t = tokens(e, 400)
            e.decode(t[:300], 0)
            shift_by(e, 100, 100)
            said_before = fails(e, [t[0]], 200)
            assert words in said_before and "clear it first" in said_before, said_before
            e.clear()
            e.decode(t[:20], 0)
    with engine("f16", n_ctx=256) as e:
        e.decode(t[:250], 0)
        shift_by(e, 4, 100)
        assert "CLKV_GGML_SHIFT" in fails(e, [t[0]], 150)
        e.clear()
        e.decode(t[:100], 0)
    with engine("f16", n_seq=2) as e:  # the other's room is free, and so is a sequence
        e.decode(t[:100], 0)
        shift_by(e, 4, 50)
        e.decode([t[0]], 50)
    with engine("f16", shift=1) as e:
        e.decode(t[:100], 0)
        e.shift(0, 50, -1, 10)
        assert "moves tokens back" in fails(e, [t[0]], 110)


def shapes():
    """Heads, head sizes and capped logits that the model doesn't have: f16 is ggml's own attention but for its rounding."""
    batches = [(0, 70), (70, 1), (71, 5), (60, 20), (80, 1)]
    for options in (dict(), dict(q_heads=8, kv_heads=8), dict(q_heads=16, kv_heads=2, dim_k=128, dim_v=128),
                    dict(dim_k=64, dim_v=32), dict(softcap=5.0), dict(dim_k=256, dim_v=256, q_heads=2, kv_heads=1)):
        status, want = run_case(None, batches, **options)
        assert status == 0
        status, got = run_case("f16", batches, **options)
        assert status == 0, options
        # values are in [-2, 2]; ggml sums V in f16
        assert np.abs(got - want).max() < 4e-3, (options, np.abs(got - want).max())


def odd_graphs():
    """Attention that the library doesn't have is refused in words."""
    for words, options in {"ALiBi": dict(max_bias=8.0), "sinks": dict(sinks=1), "isn't causal": dict(window=4),
                           "clkv takes one size for all": dict(other_dims=1), "new rows of its own": dict(no_rows=1),
                           "head_dim": dict(dim_k=40, dim_v=40), "head_dim_v": dict(dim_v=8)}.items():
        with said() as lines:
            status, _ = run_case("f16", [(0, 10)], **options)
        assert status != 0, words
        assert words in lines[0], (words, lines[0])
    for batches in ([(0, 10), (11, 5)], [(5, 5)]):
        with said() as lines:
            status, _ = run_case("f16", batches)
        assert status != 0 and "clear it first" in lines[0], lines[0]


TESTS = [f16_is_stock, truncation, draft, streams, clear, state, copies, refusals, selection, prompts_in_parts, shifts, shift_states,
         endless, shifts_refused, shapes, odd_graphs]
sys.exit(run_tests(TESTS, sys.argv[3:]))
