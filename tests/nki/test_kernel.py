"""Oracle: what the documentation promises of nki.jit, nki.simulate and the environment variables."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import NkiValidationError
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki import typing as nt
from course_lib.nki.simulator import simulate_kernel

ONES = np.ones((4, 8), np.float32)


def add_body(a, b):
    out = nl.ndarray(a.shape, a.dtype, buffer=nl.shared_hbm)
    nl.store(out, nl.add(nl.load(a), nl.load(b)))
    return out


@pytest.mark.parametrize("decorate", [nki.jit, nki.jit(), lambda f: f, lambda f: nki.jit(nki.jit(f))])
def test_every_spelling_of_a_kernel_simulates(decorate):
    kernel = decorate(add_body)
    np.testing.assert_array_equal(nki.simulate(kernel)(ONES, ONES), 2)
    np.testing.assert_array_equal(nki.simulate(kernel)(ONES, b=ONES), 2)


def test_a_direct_call_simulates_where_there_is_no_chip():
    np.testing.assert_array_equal(nki.jit(add_body)(ONES, ONES), 2)
    np.testing.assert_array_equal(nki.jit(add_body)[1](ONES, ONES), 2)


def test_kernels_call_kernels_and_plain_functions():
    inner = nki.jit(add_body)

    @nki.jit
    def outer(a):
        return inner(a, inner(a, a))

    np.testing.assert_array_equal(outer(ONES), 3)


def test_a_kernel_keeps_its_name_and_text():
    @nki.jit
    def documented(a):
        """Says something."""

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "Says something."
    assert "documented" in repr(documented[2])


def test_two_cores_share_memory():
    @nki.jit
    def halves(a):
        out = nl.ndarray(a.shape, a.dtype, buffer=nl.shared_hbm)
        rows = a.shape[0] // nl.num_programs()
        part = nl.ds(nl.program_id(0) * rows, rows)
        nl.store(out[part], nl.multiply(nl.load(a[part]), nl.program_ndim() * 5.0))
        return out

    np.testing.assert_array_equal(nki.simulate(halves[2])(ONES), 5)
    np.testing.assert_array_equal(halves[1](ONES), 5)


@pytest.mark.parametrize("grid", [0, 3, (2, 2), "two"])
def test_launch_grids_of_the_old_interface_are_explained(grid):
    with pytest.raises(NkiValidationError, match=r"kernel\[.*loop inside the kernel"):
        nki.jit(add_body)[grid]


def test_modes_are_ignored_and_platform_target_is_refused():
    np.testing.assert_array_equal(nki.jit(mode="trace")(add_body)(ONES, ONES), 2)
    with pytest.raises(NkiValidationError, match="NEURON_PLATFORM_TARGET_OVERRIDE"):
        nki.jit(platform_target="trn1")


def version():
    out = nl.ndarray((1, 1), nl.int32, buffer=nl.shared_hbm)
    nl.store(out, nl.full((1, 1), int(nisa.get_nc_version().value), nl.int32))
    return out


@pytest.mark.parametrize(
    ("name", "generation"),
    [("trn1", 2), ("inf2", 2), ("gen2", 2), ("trn2", 3), ("gen3", 3), ("trn3", 4), ("gen4", 4), ("TRN2", 3), ("", 4)],
)
def test_the_environment_chooses_the_target(monkeypatch, name, generation):
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", name)
    assert nki.simulate(version)() == generation


def test_without_the_variable_the_target_is_trn3(monkeypatch):
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE", raising=False)
    assert nki.simulate(version)() == 4
    assert nki.simulate(version, target="trn1")() == 2


def test_an_unknown_target_lists_the_choices(monkeypatch):
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "gpu")
    with pytest.raises(ValueError, match=r"'gpu'.*trn1, inf2, gen2, trn2"):
        nki.simulate(version)()


def test_nki_precise_fp_switches_rounding_off(monkeypatch):
    def kernel(a):
        out = nl.ndarray(a.shape, nl.float32, buffer=nl.shared_hbm)
        nl.store(out, nl.load(a, dtype=nl.bfloat16))
        return out

    fine = np.full((1, 1), 1.001, np.float32)
    monkeypatch.setenv("NKI_PRECISE_FP", "0")
    assert nki.simulate(kernel)(fine) == np.float32(1.001)
    monkeypatch.setenv("NKI_PRECISE_FP", "1")
    assert nki.simulate(kernel)(fine) == np.float32(ml_dtypes.bfloat16(1.001))
    monkeypatch.setenv("NKI_PRECISE_FP", "yes")
    with pytest.raises(ValueError, match="NKI_PRECISE_FP='yes'"):
        nki.simulate(kernel)(fine)


def test_nki_simulator_is_accepted_as_documented(monkeypatch):
    monkeypatch.setenv("NKI_SIMULATOR", "1")
    np.testing.assert_array_equal(nki.jit(add_body)(ONES, ONES), 2)


def test_uninitialised_reads_can_be_errors():
    def forgets(a):
        tile = nl.ndarray((4, 8), nl.float32)
        out = nl.ndarray((4, 8), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=tile[:, 0:7], src=a[:, 0:7])
        nl.store(out, tile)
        return out

    got = nki.simulate(forgets)(ONES)
    assert np.isnan(got[:, 7]).all()
    with pytest.raises(NkiValidationError, match="never written"):
        nki.simulate(forgets, uninitialised="error")(ONES)


def test_annotations_are_harmless():
    @nki.jit
    def kernel(
        a: nt.tensor[4, 8], b: nl.ndarray | None = None, c: nl.tensor = None, d: nt.tensor | None = None
    ) -> nl.ndarray | tuple[nl.ndarray, nl.ndarray]:
        assert isinstance(a, nl.ndarray)
        assert not isinstance(b, nl.ndarray)
        return add_body(a, a)

    np.testing.assert_array_equal(kernel(ONES), 2)
    assert nt.tensor[4, 8].shape == (4, 8)


def test_the_entry_of_serving_frameworks():
    np.testing.assert_array_equal(simulate_kernel(add_body, (ONES,), {"b": ONES}), 2)
    np.testing.assert_array_equal(simulate_kernel(nki.jit(version), _lnc=1), 4)


def test_an_error_names_the_kernels_line():
    def bad(a):
        nl.ndarray((129, 4), nl.float32)

    line = bad.__code__.co_firstlineno + 1
    with pytest.raises(NkiValidationError, match=rf"^test_kernel\.py:{line}: "):
        nki.simulate(bad)(ONES)


def test_errors_of_the_kernels_own_code_pass_unchanged():
    def bad(a):
        return a.shape + 1

    with pytest.raises(TypeError, match="can only concatenate"):
        nki.simulate(bad)(ONES)


def test_importing_the_simulator_loads_no_torch():
    code = "import sys, course_lib.nki, course_lib.nki.language; assert 'torch' not in sys.modules; print('ok')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "ok\n", done.stderr
