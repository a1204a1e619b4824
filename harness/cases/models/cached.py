"""Llamas of ExecuTorch's own examples that generate token by token: keys and values of earlier tokens are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cases.case import Arguments
from harness.cases.models.initialise import initialised
from harness.cases.models.model import Made, Model

if TYPE_CHECKING:
    import torch

_VOCABULARY = 200
_CONTEXT = 16
#: Tokens given at once.
_AT_ONCE = 4


def _model(**options: Any) -> tuple[Any, Any]:
    """What ExecuTorch's examples make of these arguments, narrow and of two layers, and the arguments."""
    from executorch.examples.models.llama.llama_transformer import construct_transformer
    from executorch.examples.models.llama.model_args import ModelArgs

    arguments = ModelArgs(
        dim=64,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        vocab_size=_VOCABULARY,
        hidden_dim=128,
        max_seq_len=_CONTEXT,
        max_context_len=_CONTEXT,
        use_scaled_rope=True,
        **options,
    )
    return initialised(construct_transformer(arguments)), arguments


def _static_attention() -> Made:
    """As the example for Core ML exports it: caches are inputs, what is new of them are outputs, and the application
    puts them in. Two pieces of a prompt and two tokens after it, the caches as they are by then."""
    import torch
    from executorch.examples.models.llama.static_attention import StaticAttentionIOManager

    model, arguments = _model(
        generate_full_logits=True,
        attention_type="static_mha",
        attention_kwargs={"decompose_sdpa_in_mha": True},
    )
    model.eval()
    given: list[Arguments] = []

    def kept(tokens: torch.Tensor, options: dict[str, Any]) -> Any:
        from torch.utils._pytree import tree_map_only

        given.append(Arguments(tree_map_only(torch.Tensor, torch.clone, (tokens, options))))
        return model(tokens, options)

    manager = StaticAttentionIOManager(
        arguments, input_len=_AT_ONCE, cache_lens=_CONTEXT - _AT_ONCE, style="smart_mask", mask_val=float("-inf")
    )
    with torch.no_grad():
        manager.prefill(kept, torch.randint(0, _VOCABULARY, (1, 2 * _AT_ONCE), dtype=torch.int32))
        manager.decode(kept, init_token=7, n=2)
    return Made(model, given[0].inputs, calls=tuple(given[1:]))


def _with_state() -> Made:
    """As the example exports it for Core ML with state: caches are buffers that each token writes to."""
    import torch
    from executorch.examples.models.llama.source_transformation.sdpa import (
        replace_kv_cache_with_coreml_kv_cache,
        replace_sdpa_with_simple_sdpa,
    )

    model, _ = _model(use_kv_cache=True, enable_dynamic_shape=False)
    model = replace_kv_cache_with_coreml_kv_cache(replace_sdpa_with_simple_sdpa(model))
    tokens = torch.randint(0, _VOCABULARY, (3,))
    steps = [((tokens[step].reshape(1, 1), {"input_pos": torch.tensor([step])}),) for step in range(len(tokens))]
    return Made(model, steps[0][0], calls=tuple(Arguments(inputs) for (inputs,) in steps[1:]))


MODELS: tuple[Model, ...] = (
    Model(
        "llama_static_attention",
        "executorch.examples.models.llama.static_attention.StaticAttention",
        "language",
        _static_attention,
    ),
    Model(
        "llama_with_state",
        "executorch.examples.models.llama.llama_transformer.Transformer",
        "language",
        _with_state,
    ),
)
