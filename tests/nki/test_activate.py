"""Oracle: Python's import system: what `import nki` gives in a fresh interpreter with and without other packages."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(code, *folders, check=True):
    paths = [str(ROOT), *map(str, folders)]
    prelude = f"import sys; sys.path[:0] = {paths!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def install(folder, version, module, summary):
    """A distribution as pip leaves it: a module and its metadata."""
    (folder / "nki").mkdir()
    (folder / "nki" / "__init__.py").write_text(module)
    info = folder / f"nki-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nki\nVersion: {version}\nSummary: {summary}\n")
    return folder


def test_unmodified_kernels_import():
    done = run("""
        from course_lib.nki import activate
        first, second = activate(), activate(quiet=True)
        assert first == second and first.simulated
        import nki
        import nki.language as nl
        import nki.isa as nisa
        import nki.collectives as ncc
        import nki.typing as nt
        import nki.dtype
        from nki.isa.constants import dge_mode, oob_mode
        from nki.language import NKIObject, NkiTensor
        from nki.isa import oob_mode as same
        from nki.typing import tensor
        from nki.simulator import simulate_kernel
        import course_lib.nki, course_lib.nki.language, course_lib.nki.isa
        assert nki is course_lib.nki and nl is course_lib.nki.language and nisa is course_lib.nki.isa
        assert same is oob_mode and nki.language.add is nl.add and ncc.ReplicaGroup and nt.tensor is tensor
        assert len([finder for finder in sys.meta_path if type(finder).__name__ == "_AliasFinder"]) == 1
        import numpy as np

        @nki.jit
        def kernel(a):
            out = nl.ndarray(a.shape, a.dtype, buffer=nl.shared_hbm)
            tile = nl.ndarray(a.shape, a.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=tile, src=a)
            nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
            nisa.dma_copy(dst=out, src=tile)
            return out

        assert (kernel(np.ones((2, 3), np.float32)) == 2).all()
    """)
    assert done.stdout == "import nki now means the CPU simulator course_lib.nki.\n"


def test_no_module_is_loaded_twice():
    run("""
        from course_lib.nki import activate
        activate(quiet=True)
        import nki.options, nki.session
        import course_lib.nki.options, course_lib.nki.session
        assert nki.options is course_lib.nki.options
        assert nki.session.current_core is course_lib.nki.session.current_core
        assert nki.options.__spec__.name == nki.options.__name__ == "course_lib.nki.options"
        try:
            import nki.no_such_module
        except ModuleNotFoundError as error:
            assert error.name == "nki.no_such_module"
        else:
            raise AssertionError
    """)


def test_the_real_package_is_used_and_the_learner_is_told(tmp_path):
    real = install(tmp_path, "0.7.0", "jit = simulate = print\nREAL = True\n", "Neuron Kernel Interface")
    done = run(
        """
        from course_lib.nki import activate
        found = activate()
        import nki
        assert nki.REAL and not found.simulated
        assert activate(quiet=True).simulated is False  # imported by now
        """,
        real,
    )
    assert "AWS's nki 0.7.0 is installed: it is used, not the simulator" in done.stdout


def test_the_stub_from_pypi_is_passed_over(tmp_path):
    stub = install(tmp_path, "0.0.1", "raise RuntimeError('WRONG PACKAGE')\n", "WRONG PACKAGE: use the Neuron index")
    done = run(
        """
        from course_lib.nki import activate
        assert activate().simulated
        import nki, nki.language
        assert nki.__name__ == "course_lib.nki"
        """,
        stub,
    )
    assert "nki 0.0.1 is PyPI's empty stub (WRONG PACKAGE) and is passed over" in done.stdout


def test_a_folder_that_happens_to_be_called_nki_is_no_package(tmp_path):
    (tmp_path / "nki").mkdir()
    run(
        """
        import nki  # a namespace package
        from course_lib.nki import activate
        assert activate(quiet=True).simulated
        import nki.language as nl
        assert nl.__name__ == "course_lib.nki.language"
        """,
        tmp_path,
    )


def test_deactivate_undoes_it():
    run("""
        from course_lib.nki import activate, deactivate
        before = list(sys.meta_path)
        activate(quiet=True)
        deactivate()
        assert sys.meta_path == before and "nki" not in sys.modules
        import course_lib.nki.language
    """)


def test_the_old_package_names_the_new_modules():
    run("""
        from course_lib.nki import activate
        activate(quiet=True)
        for line in ("import neuronxcc.nki as nki", "from neuronxcc.nki import language", "import neuronxcc"):
            try:
                exec(line)
            except ImportError as error:
                assert "neuronxcc" in str(error) and "import nki.language as nl" in str(error), error
            else:
                raise AssertionError(line)
    """)
