"""Rows of quantization. Weights and zero points are integers, exact; scales are floating.

What rounds to an integer is propagated through its formula: an error of the quotient reaches the result only where
the quotient is that near to a tie. A quantized result itself is an integer, and compared exactly.
"""

from __future__ import annotations

from harness.verdict.table.rows import composed, exact, ulp

_QUANTIZE = "round(x / scale) + zero point, between two bounds"
_DEQUANTIZE = "(q - zero point) scale: a difference of integers, exact, and one product"

composed(
    """quantize_per_tensor quantize_per_channel quantized_decomposed::quantize_per_tensor
    quantized_decomposed::quantize_per_channel quantized_decomposed::quantize_per_channel_group
    quantized_decomposed::quantize_per_token torchao::quantize_affine
    torchao::quantize_affine_float8_non_decomposed""",
    2.5,
    2.5,
    _QUANTIZE,
)
composed(
    """fake_quantize_per_tensor_affine fake_quantize_per_channel_affine fake_quantize_per_tensor_affine_cachemask
    fake_quantize_per_channel_affine_cachemask quantized_decomposed::fake_quant_per_channel""",
    2,
    2,
    "quantized, then dequantized",
)
ulp(
    """dequantize quantized_decomposed::dequantize_per_tensor quantized_decomposed::dequantize_per_channel
    quantized_decomposed::dequantize_per_channel_group quantized_decomposed::dequantize_per_token
    torchao::dequantize_affine torchao::dequantize_affine_float8_non_decomposed""",
    1,
    1,
    _DEQUANTIZE,
)
ulp(
    """quantized_decomposed::embedding_byte quantized_decomposed::embedding_4bit
    quantized_decomposed::embedding_2bit""",
    1,
    1,
    "a row of the table, " + _DEQUANTIZE,
)
exact("quant::dequantize_codebook", "a value of the codebook")
composed(
    "quant::choose_qparams_and_quantize_codebook_coreml",
    16,
    16,
    "k-means: distances and means; weights are clustered before export, no lowered program does it",
)
composed(
    """quantized_decomposed::choose_qparams quantized_decomposed::choose_qparams_symmetric
    quantized_decomposed::choose_qparams_per_token quantized_decomposed::choose_qparams_per_token_asymmetric
    quantized_decomposed::_choose_qparams_per_token_asymmetric_impl torchao::choose_qparams_affine
    torchao::choose_scale_float8""",
    5,
    5,
    "(max - min) / steps, then min / scale, rounded: a difference, two divisions",
)
composed("quantized_decomposed::add quantized_decomposed::add_relu", 8, 8, "dequantized twice, a sum, then quantized")
composed(
    "quantized_decomposed::mixed_mm quantized_decomposed::mixed_linear",
    32,
    16,
    "a matrix product with the integers, and one with the scales",
)
composed(
    "torchao::reference_dqlinear_int4",
    32,
    16,
    "quantized by tokens, a product of integers, exact, for each group of weights, and a sum of the groups",
)
