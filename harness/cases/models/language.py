"""Language models: transformers', and the one that ExecuTorch's own examples export."""

from __future__ import annotations

from harness.cases.models.model import Made, Model, only, transformers


def bert(layers: int = 4) -> Made:
    import torch

    config = transformers().BertConfig(
        vocab_size=1000, hidden_size=128, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=512
    )
    ids = torch.randint(0, 1000, (1, 32))
    mask = torch.ones(1, 32, dtype=torch.int64)
    mask[:, 24:] = 0
    return Made(only(transformers().BertModel(config), "last_hidden_state"), (ids, mask))


def llama(layers: int = 4) -> Made:
    import torch

    config = transformers().LlamaConfig(
        vocab_size=1000,
        hidden_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=384,
        max_position_embeddings=128,
        use_cache=False,
    )
    return Made(only(transformers().LlamaForCausalLM(config), "logits"), (torch.randint(0, 1000, (1, 32)),))


MODELS: tuple[Model, ...] = (
    Model("bert", "transformers.BertModel", "language", bert),
    Model("llama", "transformers.LlamaForCausalLM", "language", llama),
)
