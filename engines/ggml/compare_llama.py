# SPDX-License-Identifier: MIT
"""Compares caches of llama.cpp: its own and clkv's, each in a process of its own, on the same tokens. scripts/run-llama.sh calls it.

Every cache runs the text as a prompt, in batches of --batch rows, and stops at each depth to run the next --tokens tokens of the
text one by one: those are timed, and their logits compared with the first cache's."""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from llama_engine import F16, Q4_0, Q8_0, Engine, divergence, log_softmax, memory, np

OWN = {"stock:f16": F16, "stock:q8_0": Q8_0, "stock:q4_0": Q4_0}
LICENSES = ["/usr/share/common-licenses/GPL-3", "/usr/share/common-licenses/GPL-2"]


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", required=True)
    p.add_argument("--text", nargs="+", default=LICENSES)
    p.add_argument("--cache", nargs="+", default=list(OWN) + ["f16", "kvcomp", "kivi:bits=4"],
                   help="stock:f16, stock:q8_0, stock:q4_0, or a recipe of clkv")
    p.add_argument("--depth", nargs="+", type=int, default=[0, 4096, 7680])
    p.add_argument("--tokens", type=int, default=64, help="one by one at each depth")
    p.add_argument("--context", type=int, default=8192)
    p.add_argument("--batch", type=int, default=512)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--greedy", type=int, default=24, help="tokens of the text that is printed")
    p.add_argument("--prompt-loss", type=int, default=0,
                   help="also the perplexity of the first N tokens as a prompt; its logits stay in memory, so not with RSS")
    p.add_argument("--child", help=argparse.SUPPRESS)
    return p.parse_args()


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


class Clock:
    """Seconds on the wall and of all cores, since it was made."""

    def __init__(self):
        self.wall, self.cpu = time.monotonic(), cpu()

    def read(self, tokens):
        return {"tokens": tokens, "wall": time.monotonic() - self.wall, "cpu": cpu() - self.cpu}


def open_engine(a, cache):
    if cache in OWN:
        return Engine(a.model, n_ctx=a.context, n_ubatch=a.batch, n_threads=a.threads, type_k=OWN[cache], type_v=OWN[cache])
    return Engine(a.model, cache, n_ctx=a.context, n_ubatch=a.batch, n_threads=a.threads)


def prompt(e, t, start, end, batch):
    for i in range(start, end, batch):
        e.decode(t[i:min(end, i + batch)], i, logits=False)


def loss_of(logits, tokens):
    """Nats of each token under the row before it."""
    return [-float(log_softmax(row)[t]) for row, t in zip(logits, tokens)]


def prompt_loss(e, t, n, batch):
    out = []
    for i in range(0, n, batch):
        end = min(n, i + batch)
        out += loss_of(e.decode(t[i:end], i, all=True), t[i + 1:end + 1])
    return sum(out) / len(out)


def run(a, folder):
    """One cache: writes result.json and logits."""
    e = open_engine(a, a.child)
    t = e.tokens("".join(open(f, encoding="utf-8").read() for f in a.text))
    if len(t) <= max(a.depth) + a.tokens:
        sys.exit("the text has %d tokens, too few" % len(t))
    result = {"prompt": [], "decode": []}
    result["greedy"] = e.text(e.generate(t[:16], a.greedy))
    result["begun"] = memory()
    if a.prompt_loss:
        e.clear()
        result["prompt_loss"] = prompt_loss(e, t, a.prompt_loss, a.batch)
    e.clear()
    at, losses, logits = 0, [], open(os.path.join(folder, "logits"), "wb")
    for depth in a.depth:
        clock = Clock()
        prompt(e, t, at, depth, a.batch)
        result["prompt"].append(clock.read(depth - at))
        clock = Clock()
        for i in range(depth, depth + a.tokens):
            row = e.decode([t[i]], i)
            losses += loss_of(row, t[i + 1:i + 2])
            logits.write(row.tobytes())  # in memory they would count
        result["decode"].append(clock.read(a.tokens))
        at = depth + a.tokens
    logits.close()
    result.update(loss=losses, vocab=e.vocab)
    prompt(e, t, at, min(a.context, len(t)), a.batch)
    result["full"] = memory()
    with open(os.path.join(folder, "result.json"), "w") as f:
        json.dump(result, f)
    e.close()


def run_child(cache):
    """Runs one cache in a process of its own. Returns what it measured and its logits, or None after a word."""
    with tempfile.TemporaryDirectory() as folder:
        status = subprocess.call([sys.executable, *sys.argv, "--child", cache], env=dict(os.environ, CLKV_COMPARE_FOLDER=folder))
        if status:
            print("%s: failed" % cache)
            return None
        with open(os.path.join(folder, "result.json")) as f:
            result = json.load(f)
        return result, np.fromfile(os.path.join(folder, "logits"), np.float32).reshape(-1, result["vocab"])


def row_of(a, cache, result, logits, first):
    speed = ["%.1f" % (d["tokens"] / d["wall"]) for d in result["decode"]]
    speed_cpu = ["%.1f" % (d["tokens"] / d["cpu"]) for d in result["decode"]]
    prompts = [p for p in result["prompt"] if p["tokens"]]
    n, wall = sum(p["tokens"] for p in prompts), sum(p["wall"] for p in prompts)
    kl = divergence(first, logits).reshape(len(a.depth), -1).mean(1)
    cells = ["`%s`" % cache] + ["%.0f" % m for m in result["begun"] + result["full"]] + speed + speed_cpu
    cells += ["%.0f" % (n / wall) if n else "-"] + ["%.4f" % k for k in kl] + ["%.3f" % np.exp(np.mean(result["loss"]))]
    if a.prompt_loss:
        cells.append("%.4f" % np.exp(result["prompt_loss"]))
    return cells


def table(a, rows):
    at = ["at %d" % d for d in a.depth]
    head = ["cache", "RSS MiB, begun", "RssAnon", "RSS, full", "RssAnon"] + ["tokens/s " + x for x in at] + ["per core-s " + x for x in at]
    head += ["prompt tokens/s"] + ["KL " + x for x in at] + ["perplexity"]
    if a.prompt_loss:
        head.append("perplexity of %d" % a.prompt_loss)
    for cells in [head, ["---"] * len(head)] + rows:
        print("| " + " | ".join(cells) + " |")


def main():
    a = arguments()
    if a.child:
        return run(a, os.environ["CLKV_COMPARE_FOLDER"])
    rows, first = [], None
    for cache in a.cache:
        done = run_child(cache)
        if not done:
            continue
        result, logits = done
        first = logits if first is None else first
        print("%-12s %s" % (cache, json.dumps(result["greedy"])), flush=True)
        rows.append(row_of(a, cache, result, logits, first))
        print("             " + " ".join(rows[-1][1:]), flush=True)
    table(a, rows)
    return 0 if len(rows) == len(a.cache) else 1


sys.exit(main())
