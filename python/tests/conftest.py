# SPDX-License-Identifier: MIT
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else torch's idle threads spin on the cores that PoCL wants

import numpy as np
import pytest

import clkv


def pytest_configure(config):
    config.addinivalue_line("markers", "model: needs the test model, or minutes")


GEOMETRY = clkv.Geometry(layers=2, q_heads=4, kv_heads=2, head_dim_k=32)


@pytest.fixture(scope="session")
def context():
    try:
        with clkv.Context() as made:
            yield made
    except clkv.NoDeviceError:
        pytest.skip("no OpenCL device")


@pytest.fixture
def cache(context):
    with context.cache(GEOMETRY, "f16", max_tokens=512, max_sequences=8) as made:
        yield made


@pytest.fixture
def rows():
    """rows(n) gives q, k and v of n rows for both layers, [2][n][heads][32] float32, ever other ones."""
    random = np.random.default_rng(21)

    def draw(n, geometry=GEOMETRY):
        q = random.standard_normal((geometry.layers, n, geometry.q_heads, geometry.head_dim_k), dtype=np.float32)
        k = random.standard_normal((geometry.layers, n, geometry.kv_heads, geometry.head_dim_k), dtype=np.float32)
        v = random.standard_normal((geometry.layers, n, geometry.kv_heads, geometry.dim_v), dtype=np.float32)
        return q, k, v

    return draw
