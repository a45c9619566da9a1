# SPDX-License-Identifier: MIT
"""What recipes cost on a model of Transformers and a text: KL divergence, perplexity, bytes, time.

    python -m clkv.evaluate MODEL --text FILE [--recipes "kivi:bits=4" kvcomp ...] [--kvpress] [--csv FILE] [--plot FILE]

The text's first tokens are the prompt; then the text itself is fed token by token, so that each is predicted from the compressed
cache. The divergence is that of the predictions from those of the stock cache, which is the table's first line.
"""
from __future__ import annotations

import argparse
import csv
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # counts where this is the program: torch comes behind it

import torch  # noqa: E402
import transformers  # noqa: E402

from . import _errors  # noqa: E402
from . import transformers as clkv_transformers  # noqa: E402

RECIPES = ("f16", "q:k=8,v=8", "kivi:bits=4", "kivi:bits=2", "kvcomp")
STOCK = "DynamicCache"
LEAST_DRAWN = 1e-3  # of divergences; below it, as half floats alone are, a plot shows nothing unless all are there


@dataclass(frozen=True)
class Result:
    """A line of the table.

    kl          mean over the scored tokens of the divergence from the stock cache's predictions, in nats
    perplexity  of the scored tokens
    nbytes      that the cache holds at the end; per_token: for each token
    held        bytes for each token of the prompt when generation begins
    counted     the same as a press's paper counts them; of recipes what is held
    seconds     of a scored token; prompt_seconds: of the prompt; None: not measured
    """

    recipe: str
    kl: float
    perplexity: float
    nbytes: int
    per_token: float
    held: float
    counted: float
    seconds: float | None
    prompt_seconds: float | None


@dataclass(frozen=True)
class Run:
    """What a cache has done; log_probs [scored][vocabulary], bytes at the end and at the prompt's, seconds as in Result."""

    log_probs: torch.Tensor
    nbytes: int
    prompt_nbytes: int
    seconds: float | None
    prompt_seconds: float | None


def _feed(model: Any, ids: torch.Tensor, prompt: int, cache: Any, held: Callable[[], int]) -> Run:
    """Predictions of ids [1][prompt + scored] behind the prompt; held: bytes that the cache has."""
    name = clkv_transformers.cache_name(model)
    start, rows = time.perf_counter(), []
    with torch.inference_mode():
        logits = model(ids[:, :prompt], use_cache=True, **{name: cache}).logits[0, -1]
        prompt_seconds, prompt_nbytes = time.perf_counter() - start, held()
        start = time.perf_counter()
        for place in range(prompt, ids.shape[1]):
            rows.append(logits.float().log_softmax(-1).cpu())
            logits = model(ids[:, place:place + 1], use_cache=True, **{name: cache}).logits[0, -1]
    seconds = (time.perf_counter() - start) / len(rows)
    return Run(torch.stack(rows), held(), prompt_nbytes, seconds, prompt_seconds)


def _stock(model: Any, ids: torch.Tensor, prompt: int) -> Run:
    cache = transformers.DynamicCache()
    return _feed(model, ids, prompt, cache,
                 lambda: sum(x.numel() * x.element_size() for layer in cache.layers for x in (layer.keys, layer.values)))


def _ours(model: Any, ids: torch.Tensor, prompt: int, recipe: str, device: str, options: dict[str, Any]) -> Run:
    cache = clkv_transformers.ClkvCache(model.config, recipe, max_tokens=ids.shape[1] + 1, device=device, max_sequences=1, **options)

    def held() -> int:
        cache.end_prompt()
        return cache.nbytes()

    return _feed(model, ids, prompt, cache, held)


def judge(recipe: str, run: Run, truth: torch.Tensor, ids: torch.Tensor, prompt: int, counted: float | None = None) -> Result:
    """The line of a run beside the log probabilities of the stock cache; counted: bytes of the prompt by a paper's count."""
    targets = ids[0, prompt:].cpu()
    loss = -run.log_probs.gather(1, targets[:, None]).mean().item()
    kl = (truth.exp() * (truth - run.log_probs)).sum(1).mean().item()
    counted = run.prompt_nbytes if counted is None else counted
    return Result(recipe, max(kl, 0.0), math.exp(loss), run.nbytes, run.nbytes / ids.shape[1], run.prompt_nbytes / prompt,
                  counted / prompt, run.seconds, run.prompt_seconds)


def evaluate(model: Any, ids: torch.Tensor, recipes: Iterable[str] = RECIPES, prompt: int | None = None, device: str = "",
             **options: Any) -> Iterable[Result]:
    """Yields a line for the stock cache, then one for each recipe.

    model   a causal model of Transformers; its attention is "sdpa" for the stock cache and "clkv" for recipes, and is put back
    ids     [1][tokens], of which the first `prompt` (None: two thirds) are the prompt, all others are scored
    device  and options: those of ClkvCache
    """
    for result, _ in _runs(model, ids, recipes, prompt, device, options):
        yield result


def _runs(model: Any, ids: torch.Tensor, recipes: Iterable[str], prompt: int | None, device: str,
          options: dict[str, Any]) -> Iterator[tuple[Result, Run]]:
    if ids.dim() != 2 or ids.shape[0] != 1:
        raise _errors.InvalidArgumentError(f"ids has shape {list(ids.shape)}, and must have [1, tokens]")
    prompt = ids.shape[1] * 2 // 3 if prompt is None else prompt
    if not 0 < prompt < ids.shape[1]:
        raise _errors.InvalidArgumentError(f"prompt is {prompt} of {ids.shape[1]} tokens, and must leave some to score")
    clkv_transformers.register()
    before = model.config._attn_implementation
    try:
        soft = getattr(model.config.get_text_config(decoder=True), "attn_logit_softcapping", None)
        model.set_attn_implementation("eager" if soft or not model._supports_sdpa else "sdpa")
        truth = _stock(model, ids, prompt)
        yield judge(STOCK, truth, truth.log_probs, ids, prompt), truth
        model.set_attn_implementation(clkv_transformers.NAME)
        for recipe in recipes:
            run = _ours(model, ids, prompt, recipe, device, options)
            yield judge(recipe, run, truth.log_probs, ids, prompt), run
    finally:
        model.set_attn_implementation(before)


def plot(results: list[Result], file: str) -> None:
    """Draws divergence over bytes per token of the prompt, a point for each recipe, another for each press; where its paper counts
    fewer bytes than there are, a hollow one stands at these. Needs matplotlib."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
    points = [r for r in results if r.recipe != STOCK]
    for r in points:
        press = r.seconds is None
        axes.scatter(r.held, r.kl, color="C1" if press else "C0", marker="s" if press else "o")
        # presses stand at the bytes of recipes: their words are on the other side
        axes.annotate(r.recipe.split(", as ")[0] if press else r.recipe, (r.held, r.kl), xytext=(-6 if press else 6, 0), fontsize=7,
                      textcoords="offset points", horizontalalignment="right" if press else "left", verticalalignment="center")
        if r.counted < 0.99 * r.held:
            axes.plot([r.counted, r.held], [r.kl, r.kl], color="C1", linewidth=0.8, linestyle=":")
            axes.scatter(r.counted, r.kl, edgecolors="C1", facecolors="none", marker="s")
    axes.set_xlabel("bytes per token of the prompt, when generation begins")
    axes.set_ylabel("KL divergence from the stock cache, nats")
    axes.set_yscale("log")
    axes.margins(0.2, 0.08)
    if any(r.kl > LEAST_DRAWN for r in points):
        axes.set_ylim(bottom=max(LEAST_DRAWN, 0.6 * min(r.kl for r in points)))
    axes.grid(alpha=0.3)
    figure.savefig(file)
    pyplot.close(figure)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clkv.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="a name or folder that from_pretrained takes, or a GGUF file")
    parser.add_argument("--text", required=True, help="a file of text, long enough for both numbers of tokens")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--prompt", type=int, default=1024, help="tokens of the prompt (%(default)s)")
    parser.add_argument("--tokens", type=int, default=512, help="tokens that are scored (%(default)s); few say little")
    parser.add_argument("--device", default="", help="OpenCL device, as clkv-info lists them")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--kvpress", nargs="*", metavar="PRESS", help="presses of kvpress too, each at the bytes of each recipe below "
                        "f16: SnapKV, 'AdaKV(SnapKV)', ...; with no name: some that need no training")
    parser.add_argument("--kvpress-python", default="", metavar="FILE", help="an interpreter that has kvpress (CLKV_KVPRESS_PYTHON, "
                        "else this one)")
    parser.add_argument("--csv", help="write the table here too")
    parser.add_argument("--plot", help="draw divergence over bytes into this file (.png, .svg)")
    return parser.parse_args(arguments)


def load(name: str, dtype: str, tokenizer: bool = True) -> tuple[Any, Any]:
    """Model and tokenizer of a folder, a name, or a GGUF file."""
    folder, file = os.path.split(name) if name.endswith(".gguf") else (name, None)
    where = {"gguf_file": file} if file else {}
    words = transformers.AutoTokenizer.from_pretrained(folder or ".", **where) if tokenizer else None
    model = transformers.AutoModelForCausalLM.from_pretrained(folder or ".", dtype=getattr(torch, dtype), **where)
    return model.eval(), words


def _print(result: Result) -> None:
    times = "".join(f" {'-' if x is None else format(x, '.2f'):>9}"
                    for x in (None if result.seconds is None else 1000 * result.seconds, result.prompt_seconds))
    print(f"{result.recipe:<40} {result.kl:>9.5f} {result.perplexity:>10.3f} {result.held:>8,.0f} {result.counted:>8,.0f} "
          f"{result.nbytes:>12,} {result.per_token:>11,.0f}{times}", flush=True)


def _presses(options: argparse.Namespace, ids: torch.Tensor, truth: torch.Tensor, results: list[Result]) -> Iterator[Result]:
    """The lines of presses; one that can't is told of on stderr."""
    from . import presses
    jobs = presses.jobs_of(results, options.kvpress or presses.PRESSES)
    for found in presses.compare(options.model, options.dtype, ids, options.prompt, truth, jobs, options.kvpress_python):
        if isinstance(found, str):
            print(f"clkv.evaluate: {found}", file=sys.stderr)
        else:
            yield found


def _all(options: argparse.Namespace, model: Any, ids: torch.Tensor) -> Iterator[Result]:
    results, truth = [], None
    for result, run in _runs(model, ids, options.recipes, options.prompt, options.device, {}):
        truth = run.log_probs if truth is None else truth
        results.append(result)
        yield result
    if options.kvpress is not None and truth is not None:
        yield from _presses(options, ids, truth, results)


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns its exit status."""
    options = _arguments(arguments)
    model, tokenizer = load(options.model, options.dtype)
    with open(options.text, encoding="utf-8") as file:
        ids = tokenizer(file.read(), return_tensors="pt").input_ids[:, :options.prompt + options.tokens]
    if ids.shape[1] <= options.prompt:
        print(f"clkv.evaluate: {options.text} has {ids.shape[1]} tokens, and the prompt alone {options.prompt}", file=sys.stderr)
        return 1
    print(f"{'recipe':<40} {'KL':>9} {'perplexity':>10} {'held':>8} {'counted':>8} {'bytes':>12} {'per token':>11} {'ms/token':>9} "
          f"{'prompt s':>9}")
    results = []
    for result in _all(options, model, ids):
        results.append(result)
        _print(result)
    if options.csv:
        with open(options.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Result)])
            writer.writeheader()
            writer.writerows(asdict(result) for result in results)
    if options.plot:
        plot(results, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
