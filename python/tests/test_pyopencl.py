# SPDX-License-Identifier: MIT
"""pyopencl's contexts, queues, buffers and arrays, as they are."""
import numpy as np
import pytest
from conftest import GEOMETRY
from reference import attention, half

import clkv

cl = pytest.importorskip("pyopencl")
import pyopencl.array  # noqa: E402


@pytest.fixture(scope="module")
def context():
    try:
        made = cl.create_some_context(interactive=False)
    except cl.Error:
        pytest.skip("pyopencl finds no device")
    return made


@pytest.fixture(scope="module")
def queue(context):
    return cl.CommandQueue(context)


def test_its_context_queue_and_arrays(context, queue, rows):
    q, k, v = rows(20)
    with clkv.Context(context, queue=queue) as mine, mine.cache(GEOMETRY, "f16", 64) as cache, cache.sequence() as sequence:
        with cache.step([(sequence, 20, "prompt_end")], queue=queue) as step:
            for layer in range(2):
                step.append(layer, cl.array.to_device(queue, k[layer]), cl.array.to_device(queue, v[layer]))
                out = step.attend(layer, cl.array.to_device(queue, q[layer]), cl.array.zeros(queue, (20, 4, 32), np.float32))
    want, _ = attention(q[1], half(k[1]), half(v[1]))
    assert np.abs(out.get() - want).max() < 1e-4


def test_its_buffers_with_offsets_and_strides(context, queue, rows):
    q, k, v = rows(5)
    both = np.concatenate([np.zeros(7), np.stack([k[0], v[0]], 1).ravel()]).astype(np.float16)  # [5][k, v][2][32] behind 7 values
    buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR, hostbuf=both)
    rows_of = [clkv.Tensor(buffer, "float16", 7 + 64 * i, 128, 32) for i in (0, 1)]
    with clkv.Context(context) as mine, mine.cache(GEOMETRY, "f16", 64) as cache, cache.sequence() as sequence:
        with cache.step([(sequence, 5)]) as step:
            for layer in range(2):
                step.append(layer, *rows_of)
                out = step.attend(layer, q[0])
    want, _ = attention(q[0], half(k[0]), half(v[0]))
    assert np.abs(out - want).max() < 1e-4


def test_a_context_opened_by_name_is_shared_with_pyopencl(context):
    with clkv.Context() as mine:
        theirs = mine.pyopencl_context()
        assert theirs.devices[0].name == mine.info.name
        cl.CommandQueue(theirs).finish()


def test_mistakes(context, queue):
    with pytest.raises(TypeError, match="pyopencl.Context"):
        clkv.Context(queue)
    with pytest.raises(TypeError, match="pyopencl.CommandQueue"):
        clkv.Context(context, queue=context)
    small = cl.Buffer(context, cl.mem_flags.READ_WRITE, 256)
    with clkv.Context(context) as mine, mine.cache(GEOMETRY, "f16", 64) as cache, cache.sequence() as sequence:
        with pytest.raises(TypeError, match="CommandQueue"):
            cache.step([(sequence, 1)], queue=small)
        step = cache.step([(sequence, 2)])
        with pytest.raises(clkv.Error):
            step.append(0, clkv.Tensor(small), clkv.Tensor(small))  # 2 rows of 64 floats are 512 bytes
        with pytest.raises(TypeError, match="pyopencl.Buffer"):
            step.append(0, clkv.Tensor(queue), clkv.Tensor(small))
        with pytest.raises(clkv.InvalidArgumentError, match="contiguous"):
            array = cl.array.zeros(queue, (4, 2, 32), np.float32)[::2]
            step.append(0, array, array)
        step.abort()
