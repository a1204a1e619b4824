"""Language models of transformers: encoders, decoders, and both. Narrow and of two layers, the rest as published."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from harness.cases.models import cached
from harness.cases.models.initialise import initialised
from harness.cases.models.model import RECIPES, Made, Model, only, transformers
from harness.cases.models.pretrained import from_transformers
from harness.evidence.recipe import BARE, DEFAULT_RECIPES

VOCABULARY = 200
LENGTH = 16
#: What most decoders have, under the names that most configurations give it: two heads share keys and values.
_DECODER: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "use_cache": False,
}
_LOGITS = ("logits",)
#: Where a model can give them.
_LAST = ("last_hidden_state",)


def ids(length: int = LENGTH) -> Any:
    import torch

    return torch.randint(3, VOCABULARY, (1, length))


def padded(length: int = LENGTH, of: int = 4) -> Any:
    """A mask of attention whose last `of` places are padding."""
    import torch

    mask = torch.ones(1, length, dtype=torch.int64)
    mask[:, length - of :] = 0
    return mask


def bert(layers: int = 2) -> Made:
    import torch

    config = transformers().BertConfig(
        vocab_size=1000, hidden_size=128, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=512
    )
    model = initialised(transformers().BertModel(config))
    return Made(only(model, *_LAST), (torch.randint(0, 1000, (1, 32)), padded(32, of=8)))


def llama(layers: int = 2) -> Made:
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
    model = initialised(transformers().LlamaForCausalLM(config))
    return Made(only(model, "logits"), (torch.randint(0, 1000, (1, 32)),))


def _encoder(architecture: str, fields: tuple[str, ...], **options: Any) -> Made:
    """A bidirectional encoder, called with identifiers and a mask of attention."""
    library = transformers()
    cls = getattr(library, architecture)
    model = initialised(cls(cls.config_class(vocab_size=VOCABULARY, **options)))
    return Made(only(model, *fields), _given(masked=True))


def _decoder(architecture: str, masked: bool = False, **options: Any) -> Made:
    """A causal language model, called with identifiers: what a prompt makes of it."""
    cls = getattr(transformers(), architecture)
    model = initialised(cls(cls.config_class(**{**_DECODER, **options})))
    return Made(only(model, "logits"), _given(masked))


def _gpt2() -> Made:
    config = transformers().GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=32,
        use_cache=False,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = initialised(transformers().GPT2LMHeadModel(config))
    return Made(only(model, "logits"), (ids(),), {"attention_mask": padded()})


def _gemma3() -> Made:
    """A layer of sliding window and one of full attention, each with a rotation of its own; embeddings scaled up."""
    return _decoder(
        "Gemma3ForCausalLM",
        head_dim=16,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention"],
        query_pre_attn_scalar=16,
    )


def _phi3() -> Made:
    """Long rotations, of which a prompt as short as this takes the short factors."""
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + 0.05 * n for n in range(8)],
        "long_factor": [1.0 + n for n in range(8)],
    }
    return _decoder(
        "Phi3ForCausalLM",
        original_max_position_embeddings=32,
        rope_parameters=rope,
        sliding_window=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def _mixtral(experts: str = "") -> Made:
    """Two experts of four for each token, by transformers' own choice of how they are computed, or by this one."""
    made = _decoder("MixtralForCausalLM", num_local_experts=4, num_experts_per_tok=2)
    if experts:
        made.module.model.set_experts_implementation(experts)  # type: ignore[operator, union-attr]
    return made


def _mamba() -> Made:
    config = transformers().MambaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        state_size=8,
        num_hidden_layers=2,
        use_cache=False,
    )
    return Made(only(initialised(transformers().MambaForCausalLM(config)), "logits"), (ids(8),))


def _t5() -> Made:
    """Encoder and decoder in one call, as both run for the first token: relative positions, no scaling of scores."""
    import torch

    config = transformers().T5Config(
        vocab_size=VOCABULARY,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
        use_cache=False,
        decoder_start_token_id=0,
    )
    model = initialised(transformers().T5ForConditionalGeneration(config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("Attention.q.weight"):
                parameter.div_(config.d_kv**0.5)
    return Made(only(model, "logits"), (ids(12), padded(12), ids(6)))


def _given(masked: bool) -> tuple[Any, ...]:
    """Every published vocabulary is larger than this one."""
    return (ids(), padded()) if masked else (ids(),)


def _published(architecture: str, name: str, *fields: str, masked: bool = False) -> Callable[[], Made]:
    return functools.partial(from_transformers, architecture, name, fields, functools.partial(_given, masked))


MODELS: tuple[Model, ...] = (
    Model(
        "bert",
        "transformers.BertModel",
        "language",
        bert,
        pretrained=_published("BertModel", "google-bert/bert-base-uncased", *_LAST, masked=True),
    ),
    Model("llama", "transformers.LlamaForCausalLM", "language", llama),
    Model(
        "distilbert",
        "transformers.DistilBertForSequenceClassification",
        "language",
        functools.partial(
            _encoder,
            "DistilBertForSequenceClassification",
            _LOGITS,
            dim=64,
            n_layers=2,
            n_heads=4,
            hidden_dim=128,
            num_labels=7,
        ),
        pretrained=_published(
            "DistilBertForSequenceClassification",
            "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
            *_LOGITS,
            masked=True,
        ),
    ),
    Model(
        "electra",
        "transformers.ElectraForTokenClassification",
        "language",
        functools.partial(
            _encoder,
            "ElectraForTokenClassification",
            _LOGITS,
            embedding_size=32,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            num_labels=7,
        ),
    ),
    Model(
        "mobilebert",
        "transformers.MobileBertModel",
        "language",
        functools.partial(
            _encoder,
            "MobileBertModel",
            (*_LAST, "pooler_output"),
            embedding_size=32,
            hidden_size=64,
            intra_bottleneck_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
        ),
        pretrained=_published("MobileBertModel", "google/mobilebert-uncased", *_LAST, masked=True),
    ),
    Model(
        "gpt2",
        "transformers.GPT2LMHeadModel",
        "language",
        _gpt2,
        pretrained=_published("GPT2LMHeadModel", "openai-community/gpt2", *_LOGITS),
    ),
    Model(
        "qwen2",
        "transformers.Qwen2ForCausalLM",
        "language",
        functools.partial(_decoder, "Qwen2ForCausalLM", masked=True, tie_word_embeddings=True),
        pretrained=_published("Qwen2ForCausalLM", "Qwen/Qwen2.5-0.5B", *_LOGITS, masked=True),
    ),
    Model(
        "qwen3",
        "transformers.Qwen3ForCausalLM",
        "language",
        functools.partial(_decoder, "Qwen3ForCausalLM", head_dim=32, tie_word_embeddings=True),
        pretrained=_published("Qwen3ForCausalLM", "Qwen/Qwen3-0.6B", *_LOGITS),
    ),
    Model("gemma3", "transformers.Gemma3ForCausalLM", "language", _gemma3),
    Model("phi3", "transformers.Phi3ForCausalLM", "language", _phi3),
    # As transformers runs it by default, tokens sorted by expert, lowering stops at an operator: in every recipe alike.
    Model("mixtral", "transformers.MixtralForCausalLM", "language", _mixtral, recipes=("fp16-ios18", BARE)),
    Model(
        "mixtral_batched",
        "transformers.MixtralForCausalLM",
        "language",
        functools.partial(_mixtral, experts="batched_mm"),
    ),
    Model(
        "mamba",
        "transformers.MambaForCausalLM",
        "language",
        _mamba,
        # It multiplies by a linear layer's weight itself, which torchao's quantized weights do not know in eager.
        recipes=(*DEFAULT_RECIPES, BARE),
    ),
    Model(
        "t5",
        "transformers.T5ForConditionalGeneration",
        "language",
        _t5,
        # Its embedding of relative positions is as wide as there are heads: no group of 32 for int4, no block of codes.
        recipes=tuple(name for name in RECIPES if "int4" not in name and "codebook" not in name),
    ),
    *cached.MODELS,
)
