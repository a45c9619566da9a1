# SPDX-License-Identifier: MIT
"""Times ONNX Runtime's GroupQueryAttention, one new row over N tokens, on this CPU: a JSON line per recipe as clkv-bench prints.

K and V lie as the operator keeps them, [1][kv_heads][tokens][head_dim], in buffers that are past and present at once, as engines use it
(a cache of its own output would be copied in every step). As many layers as overflow the processor's caches stand in one graph.
Recipes: onnx:f32, onnx:f16, onnx:int8 and onnx:int4, the last two with scales by channel."""
import argparse
import json
import os
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as Types
from onnx import helper

KINDS = {"onnx:f32": (Types.FLOAT, np.float32, 0), "onnx:f16": (Types.FLOAT16, np.float16, 0), "onnx:int8": (Types.INT8, np.int8, 8),
         "onnx:int4": (Types.UINT8, np.uint8, 4)}
LEAST_BYTES = 48 << 20  # of a round, as clkv-bench's
SECONDS, LEAST_SAMPLES, MOST_SAMPLES = 1.0, 7, 256


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--tokens", type=int, default=8192, help="the new row included")
    p.add_argument("--head-dim", type=int, default=64)
    p.add_argument("--q-heads", type=int, default=9)
    p.add_argument("--kv-heads", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--recipe", action="append", choices=list(KINDS))
    p.add_argument("--cpu-time", action="store_true", help="count processor time / threads")
    a = p.parse_args()
    a.recipe = a.recipe or list(KINDS)
    return a


def cache_bytes(a, bits, item):
    """Of K and V of a layer."""
    width = a.head_dim // 2 if bits == 4 else a.head_dim * item
    return 2 * a.kv_heads * a.tokens * width


def layers_of(a, bytes_of_layer):
    try:
        last = os.sysconf("SC_LEVEL3_CACHE_SIZE")
    except (OSError, ValueError):
        last = 0
    return max(1, min(256, int(1.25 * max(last, LEAST_BYTES) / bytes_of_layer) + 1))


def graph(a, kind, layers):
    """All layers share q, k, v and the lengths; each has its past and present."""
    cache, _, bits = kind
    rows = Types.FLOAT16 if cache == Types.FLOAT16 else Types.FLOAT
    width = a.head_dim // 2 if bits == 4 else a.head_dim
    value = helper.make_tensor_value_info
    inputs = [value("q", rows, [1, 1, a.q_heads * a.head_dim]), value("k", rows, [1, 1, a.kv_heads * a.head_dim]),
              value("v", rows, [1, 1, a.kv_heads * a.head_dim]), value("seen", Types.INT32, [1]), value("total", Types.INT32, [1])]
    attributes, scales = {"num_heads": a.q_heads, "kv_num_heads": a.kv_heads}, []
    if bits:
        attributes.update(k_quant_type="PER_CHANNEL", v_quant_type="PER_CHANNEL", kv_cache_bit_width=bits)
        inputs.append(value("scale", Types.FLOAT, [1, a.kv_heads, 1, a.head_dim]))
        scales = ["", "", "", "", "", "scale", "scale"]
    nodes, outputs = [], []
    for i in range(layers):
        past, present = [f"pk{i}", f"pv{i}"], [f"nk{i}", f"nv{i}"]
        inputs += [value(name, cache, [1, a.kv_heads, a.tokens, width]) for name in past]
        outputs += [value(f"o{i}", rows, [1, 1, a.q_heads * a.head_dim])]
        outputs += [value(name, cache, [1, a.kv_heads, a.tokens, width]) for name in present]
        nodes.append(helper.make_node("GroupQueryAttention", ["q", "k", "v", *past, "seen", "total", *scales], [f"o{i}", *present],
                                      domain="com.microsoft", **attributes))
    made = helper.make_model(helper.make_graph(nodes, "attend", inputs, outputs), ir_version=9,
                             opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    return made.SerializeToString(), width


def session(a, model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if a.cpu_time else "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def binding(a, s, kind, layers, width):
    _, cache, bits = kind
    rows = np.float16 if cache == np.float16 else np.float32
    draw = np.random.default_rng(1)
    bound, keep = s.io_binding(), []

    def bind(name, array):
        keep.append(onnxruntime.OrtValue.ortvalue_from_numpy(array))
        bound.bind_ortvalue_input(name, keep[-1])
        return keep[-1]

    for name, heads in (("q", a.q_heads), ("k", a.kv_heads), ("v", a.kv_heads)):
        bind(name, draw.standard_normal((1, 1, heads * a.head_dim)).astype(rows))
    bind("seen", np.array([a.tokens - 1], np.int32))
    bind("total", np.array([a.tokens], np.int32))
    if bits:
        bind("scale", np.full((1, a.kv_heads, 1, a.head_dim), 3.0 / (127 if bits == 8 else 7), np.float32))
    for i in range(layers):
        for past, present in ((f"pk{i}", f"nk{i}"), (f"pv{i}", f"nv{i}")):
            shape = (1, a.kv_heads, a.tokens, width)
            values = draw.integers(0, 256, shape, np.uint8).view(cache) if bits else draw.standard_normal(shape, np.float32).astype(cache)
            bound.bind_ortvalue_output(present, bind(past, values))
        bound.bind_output(f"o{i}")
    return bound, keep


def measure(a, name):
    kind = KINDS[name]
    item = np.dtype(kind[1]).itemsize
    of_layer = cache_bytes(a, kind[2], item)
    layers = layers_of(a, of_layer)
    model, width = graph(a, kind, layers)
    s = session(a, model)
    bound, _keep = binding(a, s, kind, layers, width)
    clock = (lambda: time.process_time() / a.threads) if a.cpu_time else time.perf_counter
    times, begun = [], time.perf_counter()
    s.run_with_iobinding(bound)
    while len(times) < LEAST_SAMPLES or (time.perf_counter() - begun < SECONDS and len(times) < MOST_SAMPLES):
        start = clock()
        s.run_with_iobinding(bound)
        times.append(1e6 * (clock() - start) / layers)
    us = statistics.median(times)
    line = {"op": "attend", "recipe": name, "tokens": a.tokens, "head_dim": a.head_dim, "q_heads": a.q_heads, "kv_heads": a.kv_heads,
            "batch": 1, "rows": 1, "device": "onnxruntime " + onnxruntime.__version__, "time_us": round(us, 3),
            "fastest_us": round(min(times), 3), "ns_per_token_head": round(1e3 * us / a.tokens / a.kv_heads, 3),
            "gbps_compressed": round(of_layer / us / 1e3, 3)}
    if a.cpu_time:
        line["clock"] = "cpu"
    print(json.dumps(line), flush=True)


def main():
    a = arguments()
    for name in a.recipe:
        try:
            measure(a, name)
        except Exception as error:  # a version or processor that lacks the form
            print(f"onnx_attend: {name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)


main()
