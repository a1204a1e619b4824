"""Rows of operators that do not compute: data movement, constants, comparison, selection, integers."""

from __future__ import annotations

from harness.verdict.table.rows import exact

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
    select_scatter slice_scatter diagonal_scatter as_strided_scatter slice_inverse scatter tril triu
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
exact(
    """resize resize_as _reshape_from_tensor _pack_padded_sequence _pad_packed_sequence to_sparse
    _convert_weight_to_int4pack _convert_weight_to_int4pack_for_cpu torchvision::nms""",
    "data movement",
)
exact(
    """rand rand_like randn randn_like randint randint_like randperm random bernoulli multinomial normal uniform cauchy
    exponential geometric log_normal binomial poisson native_dropout feature_alpha_dropout""",
    "chance has no right answer: such a case is refused before values are compared; where the arguments leave nothing "
    "to chance (a probability of 0, a range of one value, not in training) the result is a constant or the input",
)
exact("hash_tensor", "integers")
exact(
    """dim_order_ops::_clone_dim_order dim_order_ops::_empty_dim_order dim_order_ops::_to_dim_order_copy
    quantized_decomposed::convert_element_type""",
    "a copy in another memory layout, a cast",
)
