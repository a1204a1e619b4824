"""Rows of operators of many steps.

COMPOSED is propagated through the operator's formula, each step at its own worst case and twice the largest of
eight draws: where many steps of few roundings meet, most of that is headroom. The factor serves where there is no
formula.
"""

from __future__ import annotations

from harness.verdict.table.rows import backward, composed

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
composed("linalg_vander", 8, 8, "running products of a column")
composed("hann_window", 8, 8, "(1 - cos(2 pi i / n)) / 2")
composed("trapezoid trapz cumulative_trapezoid gradient", 8, 8, "differences, products and a sum")
composed("quantile nanquantile", 8, 8, "sort, and a lerp between neighbours")
composed(
    "histogram histogramdd _histogramdd_bin_edges _histogramdd_from_bin_cts",
    4,
    4,
    "counts; edges as linspace's; the density's division",
)
composed("max_pool2d_with_indices_backward", 8, 8, "sum of the gradients of windows with the same maximum")
composed("_softmax_backward_data _log_softmax_backward_data", 32, 16, "a product, a sum, a difference, a product")
composed("native_layer_norm_backward native_group_norm_backward", 32, 16, "sums of products with (x - mean) rsqrt")
composed(
    """mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits
    cross_entropy_loss nll_loss nll_loss_nd nll_loss2d nll_loss_forward nll_loss2d_forward kl_div poisson_nll_loss
    soft_margin_loss hinge_embedding_loss cosine_embedding_loss margin_ranking_loss triplet_margin_loss
    multi_margin_loss multilabel_margin_loss gaussian_nll_loss ctc_loss _ctc_loss""",
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
    linalg_lstsq linalg_pinv linalg_matrix_exp matrix_exp _lu_with_info logdet pinverse qr svd linalg_cond
    linalg_matrix_rank linalg_tensorinv linalg_tensorsolve""",
    16,
    16,
    "Higham, Accuracy and Stability of Numerical Algorithms: n eps |A|, for matrices up to some ten rows",
)
backward(
    """special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
    special_modified_bessel_i0 special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1
    special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_spherical_bessel_j0 i0
    special_i0e special_i1 special_i1e special_zeta special_chebyshev_polynomial_t
    special_chebyshev_polynomial_u special_chebyshev_polynomial_v special_chebyshev_polynomial_w
    special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u
    special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w special_hermite_polynomial_h
    special_hermite_polynomial_he special_laguerre_polynomial_l special_legendre_polynomial_p igamma igammac
    lgamma digamma polygamma special_polygamma mvlgamma erfinv special_erfcx special_ndtri special_log_ndtr""",
    16,
    16,
    "no table of a standard has them; erf's and pow's 16 ulp, in argument and result",
)
composed("coreml::sdpa", 64, 32, "softmax(q k^T scale + mask) v")
