"""Rows of sums and products of many terms: their length from the shapes of a call.

The bound of an element allows every partial sum to be rounded to the recipe's precision, since no accumulator is
documented; one that accumulates wider shows a headroom that grows with the length. For them the test of the whole
tensor, whose limit grows with the square root of the length only, is the sharper one.
"""

from __future__ import annotations

from harness.verdict import error_functions as e
from harness.verdict.table.rows import dot, product

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
dot("convolution_backward", e.convolution_backward, "kh * kw * cout / groups for the input, n * oh * ow for the rest")
dot("avg_pool2d_backward", e.kernel, "windows over an element, and the division", lambda a: True)
dot("_adaptive_avg_pool2d_backward", e.adaptive_overlap, "windows over an element, and the division", lambda a: True)
dot("segment_reduce", e.last_dim("data", 0), "up to the number of rows, and the division of a mean", lambda a: True)
dot("_sparse_mm", e.last_dim("sparse"), "K")
dot("sparse_sampled_addmm", e.last_dim("mat1"), "K, and the summand", lambda a: True)
dot("_scaled_mm _scaled_mm_v2", e.last_dim("self"), "K, and the product with the scales", lambda a: True)
dot("_weight_int4pack_mm _weight_int4pack_mm_for_cpu", e.last_dim("self"), "K, and the scale", lambda a: True)
dot("linear", e.last_dim("input"), "K", e.has_bias)
dot(
    """convolution _convolution convolution_overrideable conv1d conv2d conv3d conv_transpose1d conv_transpose2d
    conv_transpose3d _convolution_mode mkldnn_convolution thnn_conv2d _slow_conv2d_forward slow_conv3d
    _conv_depthwise2d""",
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
    """scatter_add index_add index_put _index_put_impl _unsafe_index_put put scatter_reduce index_reduce
    _unsafe_masked_index_put_accumulate embedding_dense_backward""",
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
    fft_irfft2 fft_hfft2 fft_ihfft2 fft_hfftn fft_ihfftn fft_rfftn fft_irfftn fft_hfft fft_ihfft stft istft""",
    e.transformed,
    "terms of the transform",
)

# --- REDUCE_PRODUCT ----------------------------------------------------------------------------------
product("prod", e.ratio, "TOSA: n roundings")
product("cumprod", e.along_dim, "up to the size of the dim")
