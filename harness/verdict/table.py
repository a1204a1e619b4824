"""The table: ATen operator -> tolerance class, factor, source or reason.

Names are overload packets (`aten.add`), or single overloads where it matters (`aten.div.Tensor_mode`). Factors are
ulp for (fp32, fp16). An operator without a row is `COMPOSED (unlisted)`, never exact by accident; integer and bool
results are always exact. No factor here may be raised to make a check pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict import errors as e
from harness.verdict.tolerance import ErrorFunction, LengthFunction, Rule

RULES: dict[str, Rule] = {}


def _add(names: str, rule: Rule) -> None:
    for name in names.split():
        op = f"aten.{name}"
        if op in RULES:
            raise ValueError(f"{op} has two rows")
        RULES[op] = replace(rule, op=op)


def exact(names: str, reason: str) -> None:
    _add(names, Rule("", C.EXACT, reason=reason))


def ulp(names: str, fp32: float, fp16: float, reason: str) -> None:
    _add(names, Rule("", C.ULP, (fp32, fp16), reason=reason))


def abs_error(names: str, error: ErrorFunction, reason: str) -> None:
    _add(names, Rule("", C.ABS_ERROR, error=error, reason=reason))


def dot(
    names: str,
    length: LengthFunction,
    reason: str,
    bias: Callable[..., bool] | None = None,
    extra: ErrorFunction | None = None,
) -> None:
    _add(names, Rule("", C.DOT_PRODUCT, length=length, bias=bias, error=extra, reason=reason))


def product(names: str, length: LengthFunction, reason: str) -> None:
    _add(names, Rule("", C.REDUCE_PRODUCT, length=length, reason=reason))


def composed(names: str, fp32: float, fp16: float, reason: str) -> None:
    _add(names, Rule("", C.COMPOSED, (fp32, fp16), reason=reason))


def backward(names: str, fp32: float, fp16: float, reason: str) -> None:
    _add(names, Rule("", C.COMPOSED, (fp32, fp16), reason=reason, backward=True))


# --- EXACT -----------------------------------------------------------------------------------------
exact(
    """view _unsafe_view reshape _reshape_alias reshape_as view_as flatten unflatten ravel squeeze unsqueeze permute
    transpose t numpy_T matrix_H mT mH adjoint swapaxes swapdims movedim moveaxis expand expand_as broadcast_to
    broadcast_tensors as_strided diagonal diag diag_embed diagflat linalg_diagonal select slice narrow unfold unbind
    split split_with_sizes chunk tensor_split hsplit vsplit dsplit unsafe_split unsafe_split_with_sizes unsafe_chunk
    alias detach lift lift_fresh view_as_real view_as_complex real imag resolve_conj resolve_neg conj atleast_1d
    atleast_2d atleast_3d""",
    "view",
)
exact(
    """clone contiguous copy _copy_from to _to_copy type_as fill zero set_ cat concat concatenate stack hstack vstack
    dstack column_stack row_stack block_diag cartesian_prod combinations meshgrid repeat tile repeat_interleave flip
    fliplr flipud roll rot90 index _unsafe_index _unsafe_masked_index index_select index_copy index_fill gather take
    take_along_dim masked_select masked_fill masked_scatter where constant_pad_nd pad _pad_circular _pad_enum
    reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d
    select_scatter slice_scatter diagonal_scatter as_strided_scatter slice_inverse scatter tril triu trace_indices
    im2col pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle embedding upsample_nearest1d
    upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d max_unpool2d max_unpool3d squeeze_ pin_memory unique_consecutive _unique2 unique_dim
    unique_dim_consecutive nonzero nonzero_static nonzero_numpy argwhere narrow_copy complex conj_physical _conj
    _conj_physical _neg_view data lift_fresh_copy dropout feature_dropout alpha_dropout""",
    "data movement: every value of the result is a value of an input (dropout: not in training)",
)
exact(
    """empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros zeros_like new_zeros ones
    ones_like new_ones full full_like new_full eye scalar_tensor tensor tril_indices triu_indices
    _efficientzerotensor one_hot""",
    "constant; its rounding to the recipe's precision is accounted for as an operand's",
)
exact(
    """eq ne lt le gt ge equal isnan isinf isfinite isposinf isneginf isreal isin signbit logical_and logical_or
    logical_not logical_xor any all is_nonzero allclose isclose bitwise_and bitwise_or bitwise_xor bitwise_not
    bitwise_left_shift bitwise_right_shift __and__ __or__ __xor__ __lshift__ __rshift__ __ilshift__ __irshift__ gcd
    lcm count_nonzero bincount bucketize searchsorted histc""",
    "comparison, logic, integers",
)
exact(
    """max min amax amin aminmax maximum minimum fmax fmin clamp clamp_min clamp_max clip relu relu6 hardtanh threshold
    _threshold hardshrink cummax cummin _cummax_helper _cummin_helper max_pool1d max_pool2d max_pool3d
    max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d mkldnn_max_pool2d quantized_max_pool2d argmax
    argmin argsort sort msort topk kthvalue median nanmedian mode""",
    "selection: the result is one of the inputs or a bound; indices are judged by the values they select",
)
exact(
    """abs absolute neg negative positive sign sgn copysign floor ceil round trunc fix nan_to_num frexp heaviside""",
    "representable in the format of the input; rounding is IEEE's, ties to even",
)
exact(
    """sym_size sym_numel sym_stride sym_storage_offset sym_is_contiguous size numel dim item _local_scalar_dense
    is_floating_point _assert_async _assert_scalar _assert_tensor_metadata _shape_as_tensor sym_constrain_range
    sym_constrain_range_for_size _fused_sdp_choice is_same_size stride storage_offset result_type
    _has_compatible_shallow_copy_type _print""",
    "no arithmetic on values",
)

exact("H T __getitem__ _chunk_cat fft_fftshift fft_ifftshift to_dense", "view or data movement")
exact("bfloat16 half float double int long short char byte bool cfloat cdouble chalf", "cast")
exact(
    """broadcast_in_dim convert_element_type collapse_view split_dim device_put iota""",
    "prims of data movement",
)

# --- ULP: correctly rounded arithmetic ---------------------------------------------------------------
ulp("mul multiply square __mul__ __imul__", 1, 1, "WebNN: 1 ulp; OpenCL and IEEE: correctly rounded")
ulp("div divide true_divide reciprocal", 2.5, 2.5, "OpenCL, Vulkan: 2.5 ulp; WebNN: 2")
ulp(
    "div.Tensor_mode div.Scalar_mode floor_divide __floordiv__", 0.5, 0.5, "an integer, nearest where not representable"
)
ulp("round.decimals", 3.5, 3.5, "a product and a division around round")
ulp("sqrt", 3, 1.5, "OpenCL: 3 | 1.5 ulp")
ulp("rsqrt", 2, 1, "OpenCL, Vulkan: 2 | 1 ulp")
ulp("erf", 16, 4, "OpenCL: 16 | 4 ulp")
ulp("atan arctan", 5, 5, "OpenCL: 5 ulp; Vulkan: 4096 | 5")
ulp("atan2 arctan2", 6, 6, "OpenCL: 6 ulp")
ulp("tan", 5, 2.5, "OpenCL: 5 | 2.5 ulp")
ulp("asin arcsin acos arccos asinh arcsinh acosh arccosh", 4, 4, "OpenCL: 4 ulp")
ulp("atanh arctanh", 5, 5, "OpenCL: 5 ulp")
ulp("frac fmod", 0, 0, "exact in IEEE arithmetic (OpenCL: 0 ulp)")
ulp("leaky_relu _prelu_kernel prelu rrelu", 1, 1, "one product on the negative side")
ulp("deg2rad rad2deg", 2, 2, "a constant and a product")
ulp("softshrink", 1, 1, "one sum")
ulp("softsign", 3.5, 3.5, "a sum and a division")
ulp("polar angle", 6, 6, "atan2")
ulp("hypot", 4, 4, "OpenCL: 4 ulp")
ulp("logspace", 16, 4, "OpenCL: pow 16 | 4 ulp")
ulp("arange linspace range", 1, 1, "start + i * step, computed once at conversion")

# --- ABS_ERROR ---------------------------------------------------------------------------------------
abs_error(
    "add sub subtract __add__ __iadd__ __sub__ __isub__",
    e.add_scaled,
    "IEEE: 1 ulp of the sum; alpha is one more product",
)
abs_error("rsub", e.rsub_scaled, "as sub")
abs_error("exp exp2 special_exp2", e.exp, "Vulkan: 3 + 2|x| | 1 + 2|x| ulp")
abs_error("expm1 special_expm1", e.expm1, "as exp, relative to the result: that is what expm1 is for")
abs_error("sinh cosh", e.sinh_cosh, "exp(x) +- exp(-x)")
abs_error("log", e.log, "TOSA: 5 ulp, lower bound 0.5")
abs_error("log2", e.log_scaled(2.0), "log scaled")
abs_error("log10", e.log_scaled(10.0), "log scaled")
ulp("log1p special_log1p", 5, 5, "as log, relative to the result: that is what log1p is for")
abs_error("sigmoid special_expit", e.sigmoid, "TOSA: 2 (1 + |x|)")
abs_error("tanh", e.tanh, "TOSA: 4 times exp's, lower bound 0.5")
abs_error("sin cos", e.sin_cos, "Vulkan: 2^-11 | 2^-7 absolute on [-pi, pi]")
abs_error("erfc special_erfc", e.erfc, "as erf")
abs_error("gelu", e.gelu, "x/2 (1 + erf) or x/2 (1 + tanh), first order")
abs_error("softplus", e.softplus, "log(1 + exp), first order")
abs_error("log_sigmoid log_sigmoid_forward", e.log_sigmoid, "-log(1 + exp(-x)), first order")
abs_error("logit special_logit", e.logit, "log(x / (1 - x)), first order")
abs_error("silu", e.silu, "x sigmoid(x)")
abs_error("mish", e.mish, "x tanh(softplus(x)), first order")
abs_error("elu selu celu", e.elu, "scale alpha (exp(x) - 1), first order; WebNN: 18 ulp")
abs_error("hardsigmoid", e.hardsigmoid, "x / 6 + 1/2")
abs_error("hardswish", e.hardswish, "x hardsigmoid(x)")
abs_error("pow float_power __pow__ __ipow__", e.pow_, "exp(y log x), first order")
abs_error("addcmul", e.addcmul, "two products and a sum")
abs_error("addcdiv", e.addcdiv, "a division (2.5), a product and a sum")
abs_error("lerp", e.lerp, "a difference, a product and a sum")
abs_error("remainder __mod__", e.remainder, "a - b floor(a / b): the product is of the size of a")

# --- DOT_PRODUCT: KS from the shapes -----------------------------------------------------------------
dot("mm", e.last_dim("self"), "K")
dot("bmm matmul mv dot vdot inner linalg_vecdot", e.last_dim("self"), "K")
dot(
    "addmm addmv",
    lambda a, r: (a.mat1 if hasattr(a, "mat1") else a.mat).shape[-1],
    "K, and the summand",
    lambda a: True,
)
dot("baddbmm addbmm", e.last_dim("batch1"), "K, and the summand", lambda a: True)
dot("addr outer ger", e.constant(1), "one product, and the summand of addr", lambda a: hasattr(a, "beta"))
dot("linear", e.last_dim("input"), "K", e.has_bias)
dot(
    """convolution _convolution convolution_overrideable conv1d conv2d conv3d conv_transpose1d conv_transpose2d
    conv_transpose3d mkldnn_convolution thnn_conv2d _slow_conv2d_forward slow_conv3d _conv_depthwise2d""",
    e.convolution,
    "kh * kw * cin / groups",
    e.has_bias,
)
dot("sum nansum sum_to_size trace", e.ratio, "elements summed")
dot("mean nanmean", e.ratio, "elements summed; WebNN: n + 2", lambda a: True)
dot("cumsum", e.along_dim, "up to the size of the dim")
dot("avg_pool1d avg_pool2d avg_pool3d", e.kernel, "window, and the division", lambda a: True)
dot(
    """adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d""",
    e.adaptive_window,
    "largest window, and the division",
    lambda a: True,
)
dot(
    "scatter_add index_add index_put _index_put_impl _unsafe_index_put put scatter_reduce index_reduce",
    e.scattered,
    "terms that meet",
)
dot("scatter.reduce scatter.value_reduce", e.scattered, "terms that meet")
dot("col2im", lambda a, r: a.kernel_size[0] * a.kernel_size[1], "overlapping windows")
dot("_embedding_bag _embedding_bag_forward_only embedding_bag", e.last_dim("indices"), "rows of a bag")
dot("upsample_linear1d", e.constant(4), "2 products; weights are rounded too", extra=e.position)
dot("upsample_bilinear2d", e.constant(8), "4 products; weights are rounded too", extra=e.position)
dot("upsample_trilinear3d", e.constant(16), "8 products; weights are rounded too", extra=e.position)
dot("upsample_bicubic2d", e.constant(32), "16 products; weights are rounded too", extra=e.cubic_position)
dot("_upsample_bilinear2d_aa", e.antialias(2), "a window of 2 in / out; weights are rounded too", extra=e.position)
dot("_upsample_bicubic2d_aa", e.antialias(4), "a window of 4 in / out; weights are rounded too", extra=e.cubic_position)
dot("affine_grid_generator", e.constant(3), "a row of theta times (x, y, 1)")
dot(
    """_fft_c2c _fft_r2c _fft_c2r fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2
    fft_irfft2 fft_rfftn fft_irfftn fft_hfft fft_ihfft stft istft""",
    e.transformed,
    "terms of the transform",
)

# --- REDUCE_PRODUCT ----------------------------------------------------------------------------------
product("prod", e.ratio, "TOSA: n roundings")
product("cumprod", e.along_dim, "up to the size of the dim")

# --- COMPOSED: propagated through the operator's formula; the factor serves where there is none -------
composed("_softmax softmax _safe_softmax softmin", 34, 12, "exp(x - max) / sum; WebNN: 3n + 3")
composed(
    "_log_softmax log_softmax logsumexp special_logsumexp logaddexp logaddexp2 _logcumsumexp logcumsumexp",
    32,
    8,
    "log of a sum of exp",
)
composed(
    """native_layer_norm layer_norm rms_norm _fused_rms_norm native_group_norm group_norm instance_norm batch_norm
    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    _native_batch_norm_legit_functional _batch_norm_no_update _batch_norm_with_update cudnn_batch_norm""",
    16,
    8,
    "(x - mean) rsqrt(var + eps) w + b; WebNN: 6",
)
composed("var std var_mean std_mean cov corrcoef", 16, 8, "mean of the squared distance from the mean; sqrt")
composed("embedding_renorm", 8, 8, "a norm, a division, a product")
composed("norm linalg_norm linalg_vector_norm linalg_matrix_norm frobenius_norm dist renorm", 16, 8, "pow, sum, root")
composed(
    "cdist _cdist_forward _euclidean_dist pdist _pdist_forward pairwise_distance cosine_similarity",
    16,
    8,
    "difference, pow, sum, root",
)
composed(
    """scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_flash_attention_for_cpu
    _scaled_dot_product_efficient_attention _flash_attention_forward _efficient_attention_forward
    multi_head_attention_forward _native_multi_head_attention""",
    64,
    32,
    "softmax(q k^T scale + mask) v",
)
composed(
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell mkldnn_rnn_layer",
    64,
    32,
    "linear, sigmoid, tanh, step by step",
)
composed("grid_sampler grid_sampler_2d grid_sampler_3d", 32, 32, "coordinates, weights, products")
composed("cross linalg_cross diff ldexp", 8, 8, "two products and a difference; a difference; a power of two")
composed("glu", 8, 8, "a sigmoid and a product")
composed(
    """mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits
    cross_entropy_loss nll_loss nll_loss_nd nll_loss2d nll_loss_forward nll_loss2d_forward kl_div poisson_nll_loss
    soft_margin_loss hinge_embedding_loss cosine_embedding_loss margin_ranking_loss triplet_margin_loss
    multi_margin_loss gaussian_nll_loss ctc_loss _ctc_loss""",
    32,
    16,
    "pointwise, then mean or sum",
)
composed(
    "xlogy special_xlogy special_xlog1py special_entr sinc special_ndtr",
    16,
    8,
    "a product with log, sin or erf",
)
composed(
    "einsum tensordot kron chain_matmul linalg_multi_dot linalg_matrix_power bilinear _trilinear",
    32,
    16,
    "products and sums",
)
composed("local_response_norm lp_pool1d lp_pool2d lp_pool3d", 16, 8, "pow, pooling, pow")
composed("_weight_norm _weight_norm_interface normalize", 16, 8, "v g / |v|")
composed("tanhshrink", 4, 4, "x - tanh(x)")
backward(
    """linalg_inv linalg_inv_ex inverse linalg_det _linalg_det linalg_slogdet _linalg_slogdet linalg_solve
    linalg_solve_ex _linalg_solve_ex linalg_solve_triangular triangular_solve linalg_cholesky linalg_cholesky_ex
    cholesky cholesky_solve cholesky_inverse linalg_qr geqrf ormqr linalg_householder_product linalg_svd _linalg_svd
    linalg_svdvals linalg_eigh _linalg_eigh linalg_eigvalsh linalg_eig linalg_eigvals linalg_lu linalg_lu_factor
    linalg_lu_factor_ex linalg_lu_solve lu_solve lu_unpack linalg_ldl_factor linalg_ldl_factor_ex linalg_ldl_solve
    linalg_lstsq linalg_pinv linalg_matrix_exp matrix_exp""",
    16,
    16,
    "Higham, Accuracy and Stability of Numerical Algorithms: n eps |A|, for matrices up to some ten rows",
)
backward(
    """special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
    special_modified_bessel_i0 special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1
    special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_spherical_bessel_j0 i0 special_i0e
    special_i1 special_i1e special_zeta special_chebyshev_polynomial_t special_chebyshev_polynomial_u
    special_chebyshev_polynomial_v special_chebyshev_polynomial_w special_shifted_chebyshev_polynomial_t
    special_shifted_chebyshev_polynomial_u special_shifted_chebyshev_polynomial_v
    special_shifted_chebyshev_polynomial_w special_hermite_polynomial_h special_hermite_polynomial_he
    special_laguerre_polynomial_l special_legendre_polynomial_p igamma igammac lgamma digamma polygamma erfinv
    special_erfcx special_ndtri special_log_ndtr""",
    16,
    16,
    "no table of a standard has them; erf's and pow's 16 ulp, in argument and result",
)
composed(
    "quantize_per_tensor quantize_per_channel fake_quantize_per_tensor_affine fake_quantize_per_channel_affine",
    2,
    2,
    "x / scale, rounded",
)

#: For what the table does not know: 8 ulp, a handful of elementary steps. Where PyTorch knows a decomposition the
#: bound is propagated.
UNLISTED = Rule("", C.COMPOSED, (8.0, 8.0), reason="no row in the table: a handful of elementary steps", listed=False)


def normal_name(op: str) -> str:
    """`aten::add_.Tensor` or `torch.ops.aten.add_.Tensor` -> `aten.add_.Tensor`; a bare name is ATen's."""
    name = op.removeprefix("torch.ops.").replace("::", ".")
    return name if "." in name else f"aten.{name}"


def lookup(op: str) -> Rule:
    """The row of an operator: its overload's, its packet's, that of its functional or viewing twin; else `UNLISTED`."""
    name = normal_name(op)
    namespace, packet, *overload = name.split(".")
    if namespace not in ("aten", "prims"):
        return replace(UNLISTED, op=name)
    stems = [packet, packet.removesuffix("_")] if not packet.endswith("__") else [packet]
    stems += [s.removesuffix("_copy") for s in stems if s.endswith("_copy")]
    for stem in stems:
        for candidate in ([f"aten.{stem}.{overload[0]}"] if overload else []) + [f"aten.{stem}"]:
            if candidate in RULES:
                return RULES[candidate]
    return replace(UNLISTED, op=name)


def rule_for(primary: str, all_ops: list[str]) -> Rule:
    """The rule for a graph whose subject is `primary` and whose nodes are `all_ops` (ATen overload names).

    The primary's row where it covers the graph alone (everything else moves data); the row of the one operator that
    computes where the primary is that operator's wrapper; otherwise COMPOSED of the parts, factors added up and the
    parts named in the reason.
    """
    own = lookup(primary)
    parts = [lookup(op) for op in all_ops if normal_name(op).split(".")[0] in ("aten", "prims") or lookup(op).listed]
    computing = [r for r in parts if r.cls is not C.EXACT]
    others = [r for r in computing if r.op != own.op]
    if not others and (sum(r.op == own.op for r in computing) <= 1 or own.cls is C.COMPOSED):
        return own
    if len(computing) == 1:
        return computing[0]
    counts: dict[str, int] = {}
    for r in computing:
        counts[r.op] = counts.get(r.op, 0) + 1
    names = ", ".join(f"{n} x {op}" if n > 1 else op for op, n in sorted(counts.items()))
    factor = (sum(max(r.factor[0], 1.0) for r in computing), sum(max(r.factor[1], 1.0) for r in computing))
    return Rule(
        own.op, C.COMPOSED, factor, reason=f"propagated through {names}", listed=all(r.listed for r in computing)
    )


#: Whole models; see `tolerance.SQNR_THRESHOLD_DB`.
MODEL = Rule("model", C.SQNR, reason="signal-to-quantization-noise of the whole output")
