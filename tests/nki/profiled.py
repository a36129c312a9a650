"""Kernels whose profile can be worked out by hand."""

from __future__ import annotations

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl


def add(a, b, columns=2048):
    """a + b, `columns` at a time."""
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    for row in range(0, a.shape[0], 128):
        for column in range(0, a.shape[1], columns):
            left = nl.ndarray((128, columns), dtype=a.dtype, buffer=nl.sbuf)
            right = nl.ndarray((128, columns), dtype=a.dtype, buffer=nl.sbuf)
            rows, wide = slice(row, row + 128), slice(column, column + columns)
            nisa.dma_copy(dst=left, src=a[rows, wide])
            nisa.dma_copy(dst=right, src=b[rows, wide])
            nisa.tensor_tensor(dst=left, data1=left, data2=right, op=nl.add)
            nisa.dma_copy(dst=out[rows, wide], src=left)
    return out


def naive_matmul(a_t, b):
    """a_t.T @ b, every operand tile loaded for every product."""
    k, m, n = a_t.shape[0], a_t.shape[1], b.shape[1]
    out = nl.ndarray((m, n), dtype=a_t.dtype, buffer=nl.shared_hbm)
    for row in range(0, m, 128):
        for column in range(0, n, 512):
            sums = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
            for step in range(0, k, 128):
                left = nl.ndarray((128, 128), dtype=a_t.dtype, buffer=nl.sbuf)
                right = nl.ndarray((128, 512), dtype=b.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=left, src=a_t[step : step + 128, row : row + 128])
                nisa.dma_copy(dst=right, src=b[step : step + 128, column : column + 512])
                nisa.nc_matmul(dst=sums, stationary=left, moving=right)
            done = nl.ndarray((128, 512), dtype=out.dtype, buffer=nl.sbuf)
            nisa.tensor_copy(dst=done, src=sums)
            nisa.dma_copy(dst=out[row : row + 128, column : column + 512], src=done)
    return out


def resident_matmul(a_t, b):
    """a_t.T @ b with b on chip throughout and a_t loaded once."""
    k, m, n = a_t.shape[0], a_t.shape[1], b.shape[1]
    out = nl.ndarray((m, n), dtype=a_t.dtype, buffer=nl.shared_hbm)
    rights, lefts = [], []
    for step in range(0, k, 128):
        left = nl.ndarray((128, m), dtype=a_t.dtype, buffer=nl.sbuf)
        right = nl.ndarray((128, n), dtype=b.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=left, src=a_t[step : step + 128, :])
        nisa.dma_copy(dst=right, src=b[step : step + 128, :])
        lefts.append(left)
        rights.append(right)
    for row in range(0, m, 128):
        done = nl.ndarray((128, n), dtype=out.dtype, buffer=nl.sbuf)
        for column in range(0, n, 512):
            sums = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
            for left, right in zip(lefts, rights, strict=True):
                nisa.nc_matmul(dst=sums, stationary=left[:, row : row + 128], moving=right[:, column : column + 512])
            nisa.tensor_copy(dst=done[:, column : column + 512], src=sums)
        nisa.dma_copy(dst=out[row : row + 128, :], src=done)
    return out


def chain(a, links=20):
    """Small instructions, each of which needs the one before."""
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=a)
    for _ in range(links):
        nisa.tensor_tensor(dst=tile, data1=tile, data2=tile, op=nl.add)
    nisa.dma_copy(dst=out, src=tile)
    return out


def halves(a):
    """Each of two cores copies its half of the rows; the second copies them twice."""
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    me = nl.program_id(0)
    for _ in range(1 + me):
        tile = nl.ndarray((128, a.shape[1]), dtype=a.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=a[me * 128 : (me + 1) * 128, :])
        nisa.dma_copy(dst=out[me * 128 : (me + 1) * 128, :], src=tile)
    return out
