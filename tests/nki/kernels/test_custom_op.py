"""Oracle: `torch.library.opcheck`, and torch's own operators with their gradients, eager on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import rms_norm

from course_lib.nki import NkiValidationError
from course_lib.nki.custom_op import as_custom_op, schema_of
from course_lib.nki.kernels import flash_attention, flash_attention_backward, matmul, rmsnorm, topk_router


def matmul_shapes(lhs_t, rhs):
    return lhs_t.new_empty(lhs_t.shape[1], rhs.shape[1])


def matmul_backward(inputs, outputs, gradients):
    (lhs_t, rhs), (d_out,) = inputs, gradients
    # d_lhs = d_out @ rhs.T, so d_lhs_t = rhs @ d_out.T; both again run on the kernel.
    return nki_matmul(rhs.T, d_out.T), nki_matmul(lhs_t.T, d_out)


nki_matmul = as_custom_op(matmul, "course_tests::matmul", matmul_shapes, matmul_backward, target="trn2")
nki_rmsnorm = as_custom_op(rmsnorm, "course_tests::rmsnorm", lambda x, weight, epsilon=1e-6: torch.empty_like(x))


def attention_shapes(query, key, value, scale, causal=False):
    return torch.empty_like(query), query.new_empty((*query.shape[:2], 1), dtype=torch.float32)


def attention_backward(inputs, outputs, gradients):
    query, key, value, scale, causal = inputs
    return (*nki_attention_backward(query, key, value, *outputs, gradients[0], scale, causal), None, None)


nki_attention = as_custom_op(flash_attention, "course_tests::attention", attention_shapes, attention_backward)
nki_attention_backward = as_custom_op(
    flash_attention_backward,
    "course_tests::attention_backward",
    lambda query, key, value, out, log_sum, d_out, scale, causal=False: (
        torch.empty_like(query),
        torch.empty_like(key),
        torch.empty_like(value),
    ),
)


def test_schema_follows_the_kernels_signature():
    assert schema_of(rmsnorm.function) == "(Tensor x, Tensor weight, float epsilon=1e-06) -> Tensor"
    assert schema_of(topk_router.function) == "(Tensor scores, int k) -> (Tensor, Tensor)"
    assert schema_of(flash_attention.function).startswith(
        "(Tensor query, Tensor key, Tensor value, float scale, bool causal=False) -> (Tensor, Tensor)"
    )


def test_parameters_without_annotation_are_tensors_or_what_their_default_is():
    def kernel(x, times=2, name="sum"):
        return x

    assert schema_of(kernel) == '(Tensor x, int times=2, str name="sum") -> Tensor'


def test_a_parameter_that_torch_has_no_type_for_is_refused_by_name():
    def kernel(x, table: dict):
        return x

    with pytest.raises(NkiValidationError, match="table"):
        schema_of(kernel)


def test_matmul_passes_opcheck():
    torch.manual_seed(0)
    sample = (torch.randn(40, 30, requires_grad=True), torch.randn(40, 20, requires_grad=True))
    torch.library.opcheck(nki_matmul, sample)


def test_operators_without_gradient_pass_opcheck():
    torch.manual_seed(0)
    torch.library.opcheck(nki_rmsnorm, (torch.randn(5, 7), torch.randn(7)))


def test_attention_passes_opcheck():
    torch.manual_seed(0)
    tensors = [torch.randn(2, 20, 8, requires_grad=True) for _ in range(3)]
    torch.library.opcheck(nki_attention, (*tensors, 0.3, True))


def test_gradients_are_those_of_torch_matmul():
    torch.manual_seed(0)
    lhs, rhs = torch.randn(33, 129, requires_grad=True), torch.randn(129, 65, requires_grad=True)
    weights = torch.randn(33, 65)
    found = torch.autograd.grad((nki_matmul(lhs.T, rhs) * weights).sum(), (lhs, rhs))
    expected = torch.autograd.grad((lhs @ rhs * weights).sum(), (lhs, rhs))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiles_into_one_graph_and_trains(backend):
    torch.manual_seed(0)

    def model(x, weight, scale):
        return nki_rmsnorm(nki_matmul(x.T, weight).tanh().detach(), scale, 1e-5) + nki_matmul(x.T, weight)

    x, weight, scale = torch.randn(9, 17), torch.randn(17, 8, requires_grad=True), torch.ones(8)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    out = compiled(x, weight, scale)
    expected = rms_norm((x @ weight).tanh(), (8,), scale, 1e-5) + x @ weight
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    out.sum().backward()
    torch.testing.assert_close(weight.grad, x.sum(dim=0)[:, None].expand(17, 8), rtol=1e-4, atol=1e-4)


def test_gradients_flow_through_two_results():
    torch.manual_seed(0)
    tensors = [torch.randn(1, 130, 16, requires_grad=True) for _ in range(3)]
    out, _ = nki_attention(*tensors, 0.25, True)
    found = torch.autograd.grad(out.square().sum(), tensors)
    reference = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=True, scale=0.25)
    expected = torch.autograd.grad(reference.square().sum(), tensors)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_bad_shapes_raise_the_simulators_lesson():
    torch.manual_seed(0)
    with pytest.raises(NkiValidationError, match="contract"):
        nki_matmul(torch.randn(8, 4), torch.randn(7, 4))
