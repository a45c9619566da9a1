# SPDX-License-Identifier: MIT
"""Functions timed in turns, so that load of other programs meets all alike; the model shape that the benchmarks share."""
import os
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import transformers

LAYERS, Q_HEADS, KV_HEADS, DIM = 30, 9, 3, 64  # SmolLM2-135M's
CLOCKS = {"wall": time.perf_counter, "thread": time.thread_time, "process": time.process_time}
WARM = 3  # turns that don't count


def config(**changes):
    return transformers.LlamaConfig(**{
        "vocab_size": 49152, "hidden_size": Q_HEADS * DIM, "intermediate_size": 1536, "num_hidden_layers": LAYERS,
        "num_attention_heads": Q_HEADS, "num_key_value_heads": KV_HEADS, "head_dim": DIM, "max_position_embeddings": 32768,
        "tie_word_embeddings": True, **changes})


def in_turns(functions, repeats, before=lambda name: None):
    """Milliseconds of each function at each turn: {name: {clock: [repeats]}}. before(name) runs outside of what is timed."""
    taken = {name: {clock: [] for clock in CLOCKS} for name in functions}
    for i in range(repeats + WARM):
        for name, function in functions.items():
            before(name)
            started = [clock() for clock in CLOCKS.values()]
            function()
            ended = [clock() for clock in CLOCKS.values()]
            if i >= WARM:
                for clock, start, end in zip(CLOCKS, started, ended):
                    taken[name][clock].append(1e3 * (end - start))
    return taken


def report(title, taken):
    """Medians and the least of each clock."""
    print(f"{title:<48}" + "".join(f" {clock + ' ms':>12} {'least':>7}" for clock in CLOCKS))
    for name, clocks in taken.items():
        print(f"  {name:<46}" + "".join(f" {statistics.median(x):12.2f} {min(x):7.2f}" for x in clocks.values()))


def differences(taken, more, less):
    """What `more` takes beyond `less` in the same turn, milliseconds: {clock: (lower quartile, median, upper quartile)}."""
    found = {}
    for clock in CLOCKS:
        pairs = [a - b for a, b in zip(taken[more][clock], taken[less][clock])]
        found[clock] = tuple(statistics.quantiles(pairs, n=4)) if len(pairs) > 1 else (pairs[0],) * 3
    return found
