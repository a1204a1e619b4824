"""Rows of elementwise arithmetic and functions.

OpenCL is the table of the full profile for fp32 | fp16 in the OpenCL SPIR-V Environment Specification, "Numerical
Compliance". An implementation that rounds once shows twice the factor as headroom.

exp, log, sigmoid and tanh have wider bounds, and what is made of them too: Vulkan and TOSA allow for their
formulas in the format itself. exp(x) = 2^(x log2 e) carries the rounding of the product, |x| ulp; the result of a
difference near 0 carries the rounding of what was subtracted.
"""

from __future__ import annotations

from harness.verdict import error_functions as e
from harness.verdict.table.rows import abs_error, ulp

# --- ULP: correctly rounded arithmetic ---------------------------------------------------------------
ulp("mul multiply square __mul__ __imul__", 1, 1, "WebNN: 1 ulp; OpenCL and IEEE: correctly rounded")
ulp("div divide true_divide reciprocal", 2.5, 2.5, "OpenCL, Vulkan: 2.5 ulp; WebNN: 2")
ulp("round.decimals", 3.5, 3.5, "a product and a division around round")
ulp("sqrt", 3, 1.5, "OpenCL: 3 | 1.5 ulp")
ulp("rsqrt", 2, 1, "OpenCL, Vulkan: 2 | 1 ulp")
ulp("erf", 16, 4, "OpenCL: 16 | 4 ulp")
ulp("atan arctan", 5, 2, "OpenCL: 5 | 2 ulp")
ulp("atan2 arctan2", 6, 2, "OpenCL: 6 | 2 ulp")
ulp("tan", 5, 2.5, "OpenCL: 5 | 2.5 ulp")
ulp("asin arcsin acos arccos asinh arcsinh acosh arccosh", 4, 2, "OpenCL: 4 | 2 ulp")
ulp("atanh arctanh", 5, 2, "OpenCL: 5 | 2 ulp")
ulp("frac fmod", 0, 0, "exact in IEEE arithmetic (OpenCL: 0 ulp)")
ulp(
    "leaky_relu _prelu_kernel prelu rrelu rrelu_with_noise rrelu_with_noise_functional",
    1,
    1,
    "one product on the negative side",
)
ulp("deg2rad rad2deg", 2, 2, "a constant and a product")
ulp("softshrink", 1, 1, "one sum")
ulp("softsign", 3.5, 3.5, "a sum and a division")
ulp("polar angle", 6, 2, "atan2")
ulp("hypot", 4, 2, "OpenCL: 4 | 2 ulp")
ulp("logspace", 16, 4, "OpenCL: pow 16 | 4 ulp")
ulp("arange range", 1, 1, "start + i * step, computed once at conversion")
ulp("nextafter", 1, 1, "a neighbour of the input in the format of the case's dtype")
ulp("native_dropout_backward", 2, 2, "two products")

# --- ABS_ERROR ---------------------------------------------------------------------------------------
abs_error(
    "add sub subtract __add__ __iadd__ __sub__ __isub__",
    e.add_scaled,
    "IEEE: 1 ulp of the sum; alpha is one more product",
)
abs_error("rsub", e.rsub_scaled, "as sub")
abs_error(
    "div.Tensor_mode div.Scalar_mode floor_divide __floordiv__",
    e.integral_quotient,
    "div's 2.5 ulp before the quotient is cut off: on either side of an integer that close",
)
abs_error("linspace", e.linspace, "start + i * step, the step a difference and a division (2.5)")
abs_error("exp exp2 special_exp2", e.exp, "Vulkan: 3 + 2|x| | 1 + 2|x| ulp")
abs_error("expm1 special_expm1", e.expm1, "as exp, relative to the result: that is what expm1 is for")
abs_error("sinh cosh", e.sinh_cosh, "exp(x) +- exp(-x)")
abs_error("log", e.log, "TOSA: 5 ulp, lower bound 0.5")
abs_error("log2", e.log_scaled(2.0), "log scaled")
abs_error("log10", e.log_scaled(10.0), "log scaled")
ulp("log1p special_log1p", 2, 2, "OpenCL: 2 ulp, of the result: that is what log1p is for")
abs_error("sigmoid special_expit", e.sigmoid, "TOSA: 2 (1 + |x|)")
abs_error("tanh", e.tanh, "TOSA: 4 times exp's, lower bound 0.5")
abs_error("sin", e.sine, "OpenCL: 4 | 2 ulp, and an ulp of the argument where it is reduced")
abs_error("cos", e.cosine, "as sin")
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
