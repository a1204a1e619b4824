"""Models of sound: speech recognition and its parts, detection of speech and of key words."""

from __future__ import annotations

from typing import Any

from harness.cases.case import Arguments
from harness.cases.models.initialise import initialised
from harness.cases.models.model import Made, Model, only, transformers
from harness.cases.models.settle import settled
from harness.evidence.recipe import BARE, DEFAULT_RECIPES

_WIDTH = 64
_VOCABULARY = 200
#: Frames that Whisper's encoder gives for twice as many of a spectrogram.
_FRAMES = 16
_BINS = 20


def _whisper() -> Any:
    return transformers().WhisperConfig(
        vocab_size=_VOCABULARY,
        num_mel_bins=_BINS,
        d_model=_WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_source_positions=_FRAMES,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


def _whisper_encoder() -> Made:
    import torch

    encoder = initialised(transformers().WhisperForConditionalGeneration(_whisper()).get_encoder())
    return Made(only(encoder, "last_hidden_state"), (torch.randn(1, _BINS, 2 * _FRAMES),))


def _whisper_decoder_step() -> Made:
    """One token more: keys and values of the tokens before it are inputs, and, with its own, outputs."""
    import torch

    model = initialised(transformers().WhisperForConditionalGeneration(_whisper()))

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, token: Any, position: Any, heard: Any, past: Any) -> Any:
            cache = transformers().EncoderDecoderCache(
                transformers().DynamicCache(past), transformers().DynamicCache(config=self.model.config)
            )
            found = self.model(
                decoder_input_ids=token,
                decoder_position_ids=position,
                encoder_outputs=(heard,),
                past_key_values=cache,
                use_cache=True,
            )
            kept = found.past_key_values.self_attention_cache.layers
            return found.logits, [(layer.keys, layer.values) for layer in kept]

    before = 5
    past = [tuple(torch.randn(1, 4, before, _WIDTH // 4) for _ in range(2)) for _ in range(2)]
    token = torch.randint(4, _VOCABULARY, (1, 1))
    return Made(Step(), (token, torch.tensor([[before]]), torch.randn(1, _FRAMES, _WIDTH), past))


def _wav2vec2() -> Made:
    import torch

    config = transformers().Wav2Vec2Config(
        vocab_size=32,
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(32, 32, 32),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_feat_extract_layers=3,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    model = initialised(transformers().Wav2Vec2ForCTC(config))
    return Made(only(model, "logits"), (torch.randn(1, 400),))


def _silero_vad() -> Made:
    """Detection of speech, window by window: what the network keeps between them is given to it."""
    import torch
    from executorch.examples.models.silero_vad.export_silero_vad import (
        CONTEXT_SIZE,
        HIDDEN_DIM,
        WINDOW_SIZE,
        SileroVAD16k,
    )

    model = initialised(SileroVAD16k()).eval()
    windows = [torch.randn(1, CONTEXT_SIZE + WINDOW_SIZE) for _ in range(2)]
    state = torch.zeros(2, 1, HIDDEN_DIM)
    with torch.no_grad():
        after = model(windows[0], state)[1]
    return Made(model, (windows[0], state), calls=(Arguments((windows[1], after)),))


def _keyword_spotting() -> Made:
    import torch
    from executorch.examples.models.mlperf_tiny.ds_cnn import DSCNNKWS

    return Made(settled(DSCNNKWS(), torch.randn(16, 1, 49, 10)), (torch.randn(1, 1, 49, 10),))


MODELS: tuple[Model, ...] = (
    Model("whisper_encoder", "transformers.WhisperForConditionalGeneration", "audio", _whisper_encoder),
    Model(
        "whisper_decoder_step",
        "transformers.WhisperForConditionalGeneration",
        "audio",
        _whisper_decoder_step,
        # torchao quantizes the embedding of positions, which Whisper indexes as a tensor: eager fails by then.
        recipes=(*DEFAULT_RECIPES, BARE),
    ),
    Model("wav2vec2", "transformers.Wav2Vec2ForCTC", "audio", _wav2vec2),
    Model("silero_vad", "executorch.examples.models.silero_vad.export_silero_vad.SileroVAD16k", "audio", _silero_vad),
    Model("ds_cnn", "executorch.examples.models.mlperf_tiny.ds_cnn.DSCNNKWS", "audio", _keyword_spotting),
)
