# SPDX-License-Identifier: MIT
"""What a caller may get wrong: an exception that names it, and everything as it was."""
import copy
import gc
import itertools
import os
import pickle
import threading

import numpy as np
import pytest
from conftest import GEOMETRY
from interrupts import interrupted
from reference import attention, half

import clkv
from clkv import _handles, _library


@pytest.fixture
def sequence(cache):
    with cache.sequence() as made:
        yield made


@pytest.fixture
def step(cache, sequence):
    with cache.step([(sequence, 3)]) as made:
        yield made
        made.abort()


def array(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


BAD_ROWS = {
    "too few rows": (array(2, 2, 32), ValueError, r"k has shape \[2, 2, 32\], and must have \[3, 2, 32\]"),
    "too many rows": (array(4, 2, 32), ValueError, "must have"),
    "heads of q": (array(3, 4, 32), ValueError, "must have"),
    "another head size": (array(3, 2, 64), ValueError, "must have"),
    "heads and channels in one": (array(3, 64), ValueError, "must have"),
    "no dimension": (np.float32(1), TypeError, "numpy array"),
    "doubles": (array(3, 2, 32, dtype=np.float64), TypeError, "float32, float16 or bfloat16, not float64"),
    "integers": (array(3, 2, 32, dtype=np.int16), TypeError, "not int16"),
    "objects": (np.full((3, 2, 32), None), TypeError, "not object"),
    "the other byte order": (array(3, 2, 32).astype(">f4"), TypeError, "not >f4|byte order"),
    "a list": ([[[1.0] * 32] * 2] * 3, TypeError, "list"),
    "nothing": (None, TypeError, "NoneType"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_rows(step, name):
    bad, kind, words = BAD_ROWS[name]
    with pytest.raises(kind, match=words):
        step.append(0, bad, array(3, 2, 32))
    step.append(0, array(3, 2, 32), array(3, 2, 32))


BAD_OUT = {
    "read-only": lambda: np.broadcast_to(np.float32(0), (3, 4, 32)),
    "channels apart": lambda: array(3, 4, 64)[..., ::2],
    "a negative stride": lambda: array(3, 4, 32)[::-1],
    "too few rows": lambda: array(2, 4, 32),
}


@pytest.mark.parametrize("name", BAD_OUT)
def test_results(step, name):
    step.append(0, array(3, 2, 32), array(3, 2, 32))
    with pytest.raises(clkv.InvalidArgumentError, match="out"):
        step.attend(0, array(3, 4, 32), BAD_OUT[name]())
    assert np.abs(step.attend(0, array(3, 4, 32)) - 1).max() < 1e-5


def test_arrays_of_many_kinds_in_one_step(context):
    """A call's tensors are filled again by the next: nothing of one may be left in another."""
    draw = np.random.default_rng(3).standard_normal
    with context.cache(GEOMETRY, "f16", 64) as cache, cache.sequence() as sequence:
        for turn in range(2):  # the second step finds what the first one left
            q, k, v = (draw((2, 3, heads, 32)).astype(np.float16) for heads in (4, 2, 2))
            with cache.step([(sequence, 3)]) as step:
                lse = np.zeros((3, 4), np.float32)
                step.append(0, k[0], np.asfortranarray(v[0].astype(np.float32)))
                step.attend(0, q[0], lse=lse, sinks=np.zeros(4, np.float32))
                wide = np.zeros((3, 2, 64), np.float32)
                wide[..., :32] = k[1]
                step.append(1, wide[..., :32], v[1])
                out = step.attend(1, np.ascontiguousarray(q[1].swapaxes(0, 1)).swapaxes(0, 1))
                want, _ = attention(q[1], half(k[1]), half(v[1]))
                assert np.abs(out - want).max() < 1e-2
                step.abort()
            assert lse.any()


def test_what_was_right_once_is_checked_again(step):
    """Shapes that have been seen aren't looked at again, but what they don't tell of is."""
    step.append(0, array(3, 2, 32), array(3, 2, 32))
    out = array(3, 4, 32)
    step.attend(0, array(3, 4, 32), out)
    out.flags.writeable = False
    with pytest.raises(clkv.InvalidArgumentError, match="out"):
        step.attend(0, array(3, 4, 32), out)
    odd = np.frombuffer(bytearray(4 * 3 * 4 * 32 + 1), np.uint8)[1:].view(np.float32).reshape(3, 4, 32)
    assert not odd.flags.aligned
    assert np.abs(step.attend(0, odd) - 1).max() < 1e-5  # copied


def test_log_sum_exps_and_sinks(step):
    step.append(0, array(3, 2, 32), array(3, 2, 32))
    for options in ({"lse": array(2, 4)}, {"lse": array(4, 3).T}, {"sinks": array(3)}):
        with pytest.raises(clkv.InvalidArgumentError):
            step.attend(0, array(3, 4, 32), **options)
    for options in ({"lse": array(3, 4, dtype=np.float64)}, {"sinks": [0.0] * 4}):
        with pytest.raises(TypeError):
            step.attend(0, array(3, 4, 32), **options)


def test_layers_and_orders(step):
    for layer in (-1, 2, 10**6):
        with pytest.raises(clkv.InvalidArgumentError, match="layer"):
            step.append(layer, array(3, 2, 32), array(3, 2, 32))
    for layer in (10**20, "0", None, 0.5):
        with pytest.raises((TypeError, OverflowError)):
            step.append(layer, array(3, 2, 32), array(3, 2, 32))
    with pytest.raises(clkv.Error):
        step.attend(0, array(3, 4, 32))  # nothing was appended
    with pytest.raises(clkv.InvalidStateError):
        step.commit()
    with pytest.raises(clkv.InvalidArgumentError, match="entries"):
        step.commit([1, 2])


@pytest.mark.parametrize("items, kind", [
    ([], clkv.InvalidArgumentError),
    ([("sequence", 1)], TypeError),
    ([None], TypeError),
    (["ab"], TypeError),
])
def test_items(cache, items, kind):
    with pytest.raises(kind):
        cache.step(items)


def test_items_of_a_sequence(cache, sequence, context):
    for item in ((sequence, 0), (sequence, 10**6), (sequence, 1, "half")):
        with pytest.raises((clkv.InvalidArgumentError, clkv.PoolFullError)):
            cache.step([item])
    for n in (-1, 2**70):
        with pytest.raises(OverflowError):
            cache.step([(sequence, n)])
    with pytest.raises(clkv.InvalidArgumentError):
        cache.step([(sequence, 1), (sequence, 1)])
    with pytest.raises(clkv.InvalidArgumentError, match="first rows"):
        cache.step([(sequence, 1)], first_rows=[1, 2])
    with context.cache(GEOMETRY, "f16", 64) as other, other.sequence() as stranger:
        with pytest.raises(clkv.InvalidArgumentError):
            cache.step([(stranger, 1)])
        with pytest.raises(clkv.InvalidArgumentError):
            clkv.reorder([sequence, stranger], [0, 1])


def test_options_and_geometries(context):
    with pytest.raises(TypeError, match="max_pages"):
        context.cache(GEOMETRY, "f16", 64, max_pages=1)
    for make in (lambda: context.cache(GEOMETRY, "f16", 0), lambda: context.cache(GEOMETRY, "f16", 512, max_bytes=1),
                 lambda: context.cache(GEOMETRY, "f17", 64), lambda: context.cache(GEOMETRY, "f\0", 64),
                 lambda: context.cache(clkv.Geometry(2, 4, 2, 32, window=[1]), "f16", 64),
                 lambda: context.cache(clkv.Geometry(2, 4, 2, 32, rope=clkv.Rope("thirds")), "f16", 64),
                 lambda: context.cache(clkv.Geometry(2, 4, 2, 32, rope=clkv.Rope("halves", dims=8, factors=[1.0])), "f16", 64),
                 lambda: context.cache(clkv.Geometry(2, 3, 2, 32), "f16", 64)):
        with pytest.raises(clkv.Error):
            make()
    for make in (lambda: context.cache(GEOMETRY, None, 64) and None, lambda: context.cache(GEOMETRY, 5, 64),
                 lambda: context.cache(clkv.Geometry("2", 4, 2, 32), "f16", 64), lambda: context.cache(GEOMETRY, "f16", "64")):
        with pytest.raises((TypeError, clkv.Error)):
            make()


def test_a_device_that_is_not_there():
    with pytest.raises(clkv.NoDeviceError, match="no such thing"):
        clkv.Context("no such thing")
    with pytest.raises(TypeError, match="pyopencl.Context"):
        clkv.Context(3.5)


def test_files(cache, sequence, tmp_path):
    with pytest.raises(clkv.CorruptError):
        cache.load(b"no such file format" * 10)
    with pytest.raises(clkv.Error):
        cache.load(b"")
    with pytest.raises(FileNotFoundError):
        cache.load(tmp_path / "nothing")
    with pytest.raises(TypeError):
        cache.load(17)

    class Full:
        def write(self, data):
            raise OSError("disk full")

    class Odd:
        def __init__(self, read):
            self.read = read

    with pytest.raises(OSError, match="disk full"):
        sequence.save(Full())
    with pytest.raises(TypeError):
        cache.load(Odd(lambda n: b"x" * (n + 1)))
    with pytest.raises(TypeError):
        cache.load(Odd(lambda n: "text"))
    with pytest.raises(KeyboardInterrupt):
        cache.load(Odd(interrupt))
    assert cache.stats.sequences == 1


def interrupt(*_):
    raise KeyboardInterrupt


def test_callbacks_cannot_come_back(cache, sequence):
    class Back:
        def write(self, data):
            sequence.close()

    with pytest.raises(clkv.InUseError, match="callback"):
        sequence.save(Back())
    assert len(sequence) == 0


def test_use_after_close(context):
    cache = context.cache(GEOMETRY, "f16", 64, max_sequences=2)
    sequence = cache.sequence()
    step = cache.step([(sequence, 1)])
    step.abort()
    with pytest.raises(clkv.ClosedError, match="step has ended"):
        step.append(0, array(1, 2, 32), array(1, 2, 32))
    step.close(), step.abort()
    open_step = cache.step([(sequence, 1)])
    cache.close()
    cache.close()
    for use in (cache.sequence, lambda: cache.stats, sequence.fork, lambda: len(sequence), open_step.commit,
                lambda: cache.step([(sequence, 1)]), lambda: clkv.reorder([sequence], [0]), lambda: sequence.read(0, 0, 1),
                lambda: cache.__enter__(), open_step.finish):
        with pytest.raises(clkv.ClosedError):
            use()
    sequence.close(), open_step.abort()
    assert cache.closed and sequence.closed and open_step.closed and "closed" in repr(cache)


def test_closing_a_context_closes_all_that_is_in_it():
    try:
        context = clkv.Context()
    except clkv.NoDeviceError:
        pytest.skip("no OpenCL device")
    cache = context.cache(GEOMETRY, "f16", 64)
    sequence = cache.sequence()
    step = cache.step([(sequence, 2)])
    step.append(0, array(2, 2, 32), array(2, 2, 32), wait=False)
    context.close()
    assert cache.closed and sequence.closed and step.closed
    for use in (lambda: context.info, context.finish, lambda: context.cache(GEOMETRY, "f16", 64)):
        with pytest.raises(clkv.ClosedError):
            use()


def test_a_sequence_closed_in_its_step_goes_with_it(cache):
    sequence = cache.sequence()
    with cache.step([(sequence, 1)]) as step:
        sequence.close()
        for layer in range(2):
            step.append(layer, array(1, 2, 32), array(1, 2, 32))
    assert cache.stats.sequences == 0


def test_what_nobody_holds_is_freed(cache):
    sequence = cache.sequence()
    step = cache.step([(sequence, 1)])
    step.append(1, array(1, 2, 32), array(1, 2, 32), wait=False)
    del step, sequence
    gc.collect()
    assert cache.stats.sequences == 0
    with cache.sequence() as again, cache.step([(again, 1)]) as step:
        step.abort()


def test_what_goes_in_a_circle_is_closed_in_any_order(context):
    """The garbage collector finalizes what goes together in the order of its making, or nearly; each order must do."""
    parts = ["context", "cache", "sequence", "step"]
    orders = list(itertools.permutations(range(4)))
    for order in orders if os.environ.get("CLKV_TEST_FULL") else orders[::5]:
        try:
            mine = clkv.Context()
        except clkv.NoDeviceError:
            pytest.skip("no OpenCL device")
        shells = {parts[i]: [] for i in order}  # made in this order, before what they hold
        cache = mine.cache(GEOMETRY, "f16", 64)
        sequence = cache.sequence()
        step = cache.step([(sequence, 4)])
        step.append(0, array(4, 2, 32), array(4, 2, 32), wait=False)
        for name, thing in zip(parts, (mine, cache, sequence, step)):
            shells[name].append(Closer(thing))
            thing.circle = shells
        del mine, cache, sequence, step, shells, thing
        gc.collect()


class Closer:
    """Closes a thing in its own destructor, which the collector may call before the others'."""

    def __init__(self, thing):
        self.thing = thing

    def __del__(self):
        self.thing.close()


def test_copies_are_refused(cache, sequence):
    for thing in (cache, sequence):
        with pytest.raises(TypeError):
            copy.copy(thing)
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_a_step_while_another_is_open(cache, sequence, step):
    with cache.sequence() as other, pytest.raises(clkv.BusyError):
        cache.step([(other, 1)])
    with pytest.raises(clkv.BusyError):
        sequence.fork()


def test_an_exception_in_a_step_leaves_all_as_it_was(cache, sequence):
    with pytest.raises(KeyboardInterrupt):
        with cache.step([(sequence, 3)]) as step:
            step.append(0, array(3, 2, 32), array(3, 2, 32), wait=False)
            raise KeyboardInterrupt
    assert len(sequence) == 0 and step.closed
    with pytest.raises(clkv.InvalidStateError, match="append"):
        with cache.step([(sequence, 3)]):
            pass  # nothing was appended: the commit at the block's end fails
    assert len(sequence) == 0
    with cache.step([(sequence, 1)]) as step:
        step.abort()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupts in destructors
def test_an_interrupt_anywhere(context, rows):
    """Interrupts a pass at every line of the package that it runs: nothing crashes, and the cache goes on or can be closed."""
    q, k, v = rows(3)

    def life(cache):
        with cache.sequence() as sequence:
            for _ in range(2):
                with cache.step([(sequence, 3)]) as step:
                    for layer in range(2):
                        step.append(layer, k[layer], v[layer], wait=False)
                        step.attend(layer, q[layer])
            assert len(sequence) == 6

    every = 1 if os.environ.get("CLKV_TEST_FULL") else 31  # all lines take two minutes
    at, lost, going = 0, 0, True
    while going:
        with context.cache(GEOMETRY, "f16", 64, max_sequences=2) as cache:
            while going := interrupted(lambda: life(cache), at):
                at += every
                gc.collect()
                if cache.stats.sequences:  # it came inside a destructor: what that left, the cache's end frees
                    lost += 1
                    break
                life(cache)
    assert at > 500 and lost < at / every / 10


def test_two_threads(cache, rows):
    """While one thread is inside a call, a second one's use of the same objects, and closing what they belong to, is refused."""
    entered, leave, raised = threading.Event(), threading.Event(), []
    sequence = cache.sequence()

    class Slow:
        def write(self, data):
            entered.set()
            leave.wait(60)
            return len(data)

    thread = threading.Thread(target=lambda: sequence.save(Slow()))
    thread.start()
    assert entered.wait(60)
    try:
        for use in (lambda: len(sequence), sequence.close, cache.close, cache.context.close,
                    lambda: cache.step([(sequence, 1)]), lambda: clkv.reorder([sequence], [0])):
            with pytest.raises(clkv.InUseError, match="another thread"):
                use()
            raised.append(use)
        cache.sequence().close()  # a cache may be shared
    finally:
        leave.set()
        thread.join()
    assert len(raised) == 6 and len(sequence) == 0


def test_a_thread_inside_a_layer(rows):
    """While one thread is inside a step's call on a layer, a second one can use neither the step nor its sequences, nor close what they
    belong to; other sequences it can."""
    entered, leave, waiting = threading.Event(), threading.Event(), [False]

    def log(level, subsystem, text):
        if waiting[0] and threading.current_thread() is thread:
            waiting[0] = False
            entered.set()
            leave.wait(60)

    try:
        context = clkv.Context(log=log, log_level=5)
    except clkv.NoDeviceError:
        pytest.skip("no OpenCL device")
    q, k, v = rows(2)
    with context, context.cache(GEOMETRY, "f16", 64, max_sequences=3) as cache, cache.sequence() as sequence, cache.sequence() as other:
        with cache.step([(sequence, 2)]) as step:
            step.append(0, k[0], v[0])
            step.append(1, k[1], v[1])
            thread, out = threading.Thread(target=lambda: out.append(step.attend(0, q[0]))), []
            waiting[0] = True
            thread.start()
            assert entered.wait(60)
            try:
                for use in (lambda: step.attend(1, q[1]), lambda: step.append(1, k[1], v[1]), step.commit, step.abort, step.finish,
                            lambda: len(sequence), lambda: sequence.read(0, 0, 1), sequence.close, cache.close, context.close):
                    with pytest.raises(clkv.InUseError, match="another thread"):
                        use()
                assert len(other) == 0 and cache.stats.sequences == 2
            finally:
                leave.set()
                thread.join()
            want, _ = attention(q[0], half(k[0]), half(v[0]))
            assert np.abs(out[0] - want).max() < 1e-4
        assert len(sequence) == 2


def test_a_sequence_inside_a_call_keeps_its_step_waiting(cache, sequence, step):
    """The other way round: what a thread does with a sequence keeps others from its step."""
    entered, leave = threading.Event(), threading.Event()

    def use():
        with _handles.use([sequence], [cache]):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=use)
    thread.start()
    assert entered.wait(60)
    try:
        with pytest.raises(clkv.InUseError, match="on this sequence"):
            step.append(0, array(3, 2, 32), array(3, 2, 32))
    finally:
        leave.set()
        thread.join()
    step.append(0, array(3, 2, 32), array(3, 2, 32))


def test_threads_that_share_a_step_get_exceptions(cache, rows):
    """Many threads on one step: each call does its work or says that another is inside."""
    q, k, v = rows(4)
    sequence, failures = cache.sequence(), []
    with cache.step([(sequence, 4)]) as step:
        for layer in range(2):
            step.append(layer, k[layer], v[layer])
        want, _ = attention(q[0], half(k[0]), half(v[0]))

        def attend():
            for _ in range(50):
                try:
                    out = step.attend(0, q[0])
                    if np.abs(out - want).max() > 1e-4:
                        failures.append(out)
                except clkv.InUseError:
                    pass
                except BaseException as error:
                    failures.append(error)

        threads = [threading.Thread(target=attend) for _ in range(4)]
        [t.start() for t in threads], [t.join() for t in threads]
        step.attend(1, q[1])
    assert not failures and len(sequence) == 4


def test_threads_with_sequences_of_their_own(context, rows):
    """Threads that share a cache and keep to their own sequences work side by side; a step that meets another's is BusyError."""
    q, k, v = rows(2)
    failures = []
    with context.cache(GEOMETRY, "f16", 512, max_sequences=4) as cache:

        def work():
            try:
                with cache.sequence() as sequence:
                    done = 0
                    while done < 10:
                        try:
                            with cache.step([(sequence, 2)]) as step:
                                for layer in range(2):
                                    step.append(layer, k[layer], v[layer])
                        except clkv.BusyError:
                            continue
                        done += 1
                    if len(sequence) != 20:
                        failures.append(len(sequence))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads], [t.join() for t in threads]
    assert not failures


def test_arrays_that_nobody_holds_are_read_all_the_same(cache):
    with cache.sequence() as sequence, cache.step([(sequence, 64, "prompt_end")]) as step:
        for layer in range(2):
            step.append(layer, array(64, 2, 32), 0.25 * array(64, 2, 32), wait=False)
            gc.collect()
            [array(64, 2, 32) for _ in range(20)]  # takes their place if they were freed
        step.commit()
        assert np.array_equal(sequence.read(1)[1], 0.25 * array(64, 2, 32))


def test_pointers_are_never_taken_twice():
    assert _library.load() is _library.load()
