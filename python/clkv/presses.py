# SPDX-License-Identifier: MIT
"""Presses of kvpress beside recipes, judged alike: python -m clkv.evaluate MODEL --text FILE --kvpress

Presses prune the prompt's K and V on torch tensors. They run in a process of their own, whose Python may have another version of
Transformers, as kvpress asks for one. Their caches keep half floats, and widen them for each forward, as the recipe f16 does.
"""
from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch  # noqa: E402
from transformers.cache_utils import Cache, DynamicLayer  # noqa: E402

from . import _errors  # noqa: E402
from .evaluate import Result, Run, judge, load  # noqa: E402

PRESSES = ("SnapKV", "ExpectedAttention", "Knorm", "StreamingLLM", "TOVA", "AdaKV(SnapKV)", "ThinK")
NO_PRESS = "no press"
# Tokens that are scored in one forward. Presses leave generated tokens alone, so that it's as if they came one by one.
CHUNK = 64


class Job(NamedTuple):
    """A press, and the bytes per token of the prompt that it should have, by its paper's count; beside: whose bytes these are."""

    press: str
    bytes_per_token: float
    beside: str


# ---- the process that has kvpress ----

class _HalfLayer(DynamicLayer):
    """A layer of the stock cache that keeps half floats: keys and values, that presses read and replace, are wide copies."""

    _half: dict[str, torch.Tensor | None] = {}

    def __init__(self, *arguments: Any, **others: Any) -> None:
        self._half = {"keys": None, "values": None}
        super().__init__(*arguments, **others)

    def _wide(self, name: str) -> torch.Tensor | None:
        x = self._half[name]
        return None if x is None else x.to(self.dtype)

    def _keep(self, name: str, x: torch.Tensor | None) -> None:
        self._half[name] = x.half() if x is not None and x.dtype == torch.float32 else x

    keys = property(lambda self: self._wide("keys"), lambda self, x: self._keep("keys", x))  # type: ignore[assignment]
    values = property(lambda self: self._wide("values"), lambda self, x: self._keep("values", x))  # type: ignore[assignment]


def press_of(kvpress: Any, spec: str, removed: float) -> Any:
    """The press of a name, "SnapKV" or "AdaKV(SnapKV)", that removes this share of the prompt's bytes by its paper's count."""
    name, inner = re.fullmatch(r"(\w+)(?:\((.+)\))?", spec).groups()  # type: ignore[union-attr]
    kind = getattr(kvpress, name + "Press", None)
    if kind is None:
        raise ValueError(f"kvpress has no {name}Press")
    if inner:
        return kind(press=press_of(kvpress, inner, removed))
    names = {f.name for f in fields(kind)}
    if "compression_ratio" in names:
        return kind(compression_ratio=removed)
    if "key_channel_compression_ratio" in names:
        if removed >= 0.5:
            raise ValueError("channels of K are half of all bytes at most")
        return kind(key_channel_compression_ratio=2 * removed)
    raise ValueError(f"{name}Press has no share of bytes that could be set")


def alive(*but: torch.Tensor) -> int:
    """Bytes of all tensors' memory, each once, but for that of some."""
    gc.collect()
    found = {}
    for x in gc.get_objects():
        if type(x) in (torch.Tensor, torch.nn.Parameter):
            found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
    for x in but:
        found.pop(x.untyped_storage().data_ptr(), None)
    return sum(found.values())


def _forward(model: Any, ids: torch.Tensor, start: int, cache: Any, last: int = 0) -> torch.Tensor:
    """Log probabilities [tokens][vocabulary], last: of so many of the last tokens. Positions are those of the text: the cache may have
    fewer rows."""
    places = torch.arange(start, start + ids.shape[1])[None]
    return model(ids, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=last).logits[0].float().log_softmax(-1)


def _run(model: Any, ids: torch.Tensor, prompt: int, press: Any) -> Run:
    """What a press does to predictions behind the prompt."""
    cache = Cache(layer_class_to_replicate=_HalfLayer)
    with torch.inference_mode():
        before = alive()
        with contextlib.nullcontext() if press is None else press(model):
            last = _forward(model, ids[:, :prompt], 0, cache, 1)
        held = alive(last) - before
        # rows that differ between layers, or are hidden from single queries, want tokens one by one
        lengths = {layer.get_seq_length() for layer in cache.layers}
        chunk = CHUNK if len(lengths) == 1 and not any(hasattr(m, "masked_key_indices") and m.masked_key_indices is not None
                                                       for m in model.modules()) else 1
        parts = [last]
        for start in range(prompt, ids.shape[1], chunk):
            parts.append(_forward(model, ids[:, start:start + chunk], start, cache))
        log_probs = torch.cat(parts)[:-1]
        del parts
        nbytes = alive(last, log_probs) - before
    return Run(log_probs, nbytes, held, None, None)


def _clear(model: Any) -> None:
    """Takes away what presses leave on modules."""
    for module in model.modules():
        if hasattr(module, "masked_key_indices"):
            module.masked_key_indices = None


def serve(file: str) -> None:
    """The process: reads what `compare` wrote, and writes a line of JSON for each result."""
    given = torch.load(file, weights_only=True)
    kvpress = importlib.import_module("kvpress")
    model, _ = load(given["model"], given["dtype"], tokenizer=False)
    model.set_attn_implementation("sdpa")
    ids, prompt, truth = given["ids"], given["prompt"], given["truth"]
    with torch.inference_mode():
        _forward(model, ids[:, :2], 0, Cache(layer_class_to_replicate=_HalfLayer))  # what is made once is made
    run = _run(model, ids, prompt, None)
    full = run.prompt_nbytes
    _tell(judge(NO_PRESS, run, truth, ids, prompt))
    for job in (Job(*job) for job in given["jobs"]):
        label = f"{job.press}, as {job.beside}"
        try:
            press = press_of(kvpress, job.press, 1 - job.bytes_per_token * prompt / full)
            run = _run(model, ids, prompt, press)
        except Exception as error:
            print(json.dumps({"recipe": label, "failed": f"{type(error).__name__}: {error}"}), flush=True)
        else:
            _tell(judge(label, run, truth, ids, prompt, full * (1 - press.compression_ratio)))
        finally:
            _clear(model)


def _tell(result: Result) -> None:
    print(json.dumps(asdict(result)), flush=True)


# ---- the process that asks ----

def _interpreter(python: str) -> str:
    return python or os.environ.get("CLKV_KVPRESS_PYTHON") or sys.executable


def jobs_of(results: Iterable[Result], presses: Iterable[str]) -> list[Job]:
    """Each press at the bytes of each recipe that has fewer than half floats take; recipes with the same, within a twentieth, share
    the first one's lines. The first result is the stock cache's."""
    ours = list(results)[1:]
    full = max((r.held for r in ours), default=0.0)
    places: list[Result] = []
    for r in ours:
        if r.held < 0.95 * full and all(abs(r.held / other.held - 1) > 0.05 for other in places):
            places.append(r)
    return [Job(press, r.held, r.recipe) for r in places for press in presses]


def compare(model: str, dtype: str, ids: torch.Tensor, prompt: int, truth: torch.Tensor, jobs: list[Job],
            python: str = "") -> Iterator[Result | str]:
    """Yields a line for the stock cache in half, then one for each job, or a sentence that says why a press can't.

    model   name, folder or GGUF file; dtype "float32", ...
    truth   log probabilities [scored][vocabulary] of the stock cache
    python  an interpreter that has kvpress and this package; "": CLKV_KVPRESS_PYTHON, or this one
    """
    python = _interpreter(python)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "given")
        torch.save({"model": model, "dtype": dtype, "ids": ids, "prompt": prompt, "truth": truth,
                    "jobs": [tuple(job) for job in jobs]}, file)
        asked = "import sys; from clkv import presses; presses.serve(sys.argv[1])"
        with open(os.path.join(folder, "words"), "w+", encoding="utf-8") as words:
            with subprocess.Popen([python, "-c", asked, file], stdout=subprocess.PIPE, stderr=words, text=True) as process:
                assert process.stdout is not None
                yield from _results(process.stdout)
            if process.returncode:
                words.seek(0)
                raise _errors.UnsupportedError(f"{python} can't run presses: {_last_line(words.read())} (doc/python.md tells which "
                                               "versions go together)")


def _last_line(words: str) -> str:
    return words.strip().splitlines()[-1] if words.strip() else "it said nothing"


def _results(lines: Iterable[str]) -> Iterator[Result | str]:
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue  # libraries print too
        yield f"{told['recipe']}: {told['failed']}" if "failed" in told else Result(**told)


def has_kvpress(python: str = "") -> bool:
    """Whether an interpreter has kvpress."""
    asked = "import importlib.util, sys; sys.exit(importlib.util.find_spec('kvpress') is None)"
    try:
        return subprocess.run([_interpreter(python), "-c", asked], check=False).returncode == 0
    except OSError:
        return False
