"""Encoders in Hugging Face's format, from tiny folders with random weights."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    HubertConfig,
    HubertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from hugging_face import SubwordEncoder, WaveformEncoder
from word_pieces import Cue

SPEECH = {
    "hubert": (HubertConfig, HubertModel),
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "wavlm": (WavLMConfig, WavLMModel),
}
WORDS = ["<s>", "<pad>", "</s>", "<unk>", "one", "two", "three", "four", "five"]


@pytest.fixture(params=SPEECH)
def speech_folder(request, tmp_path):
    torch.manual_seed(0)
    kind, model = SPEECH[request.param]
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    convolutions = {"conv_dim": (8, 8), "conv_stride": (10, 32), "conv_kernel": (10, 32)}
    config = kind(**sizes, **convolutions, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)
    model(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(sampling_rate=16000, do_normalize=True).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture(params=["roberta", "t5"])
def text_folder(request, tmp_path):
    torch.manual_seed(0)
    if request.param == "roberta":
        config = RobertaConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=40,
        )
        RobertaModel(config).save_pretrained(tmp_path)
        template = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    else:
        config = T5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        T5EncoderModel(config).save_pretrained(tmp_path)
        template = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 2)])
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = template
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="</s>", bos_token="<s>"
    ).save_pretrained(tmp_path)
    return tmp_path


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * 16000)).astype(np.float32)


def test_a_waveform_encoder_gives_a_row_of_mean_and_deviation_for_each_segment(speech_folder):
    encoder = WaveformEncoder(speech_folder)
    samples = np.concatenate([noise(2), np.zeros(48000, np.float32), noise(3, 1)])
    rows, spans = encoder(samples)
    assert rows.shape == (2, 32) and len(spans) == 2
    frames = encoder.frames(samples[slice(*spans[1])])
    expected = torch.cat([frames.mean(0), frames.std(0, correction=0)])
    assert torch.allclose(rows[1], expected, atol=1e-5)
    assert encoder.features() == {"kind": "waveform", "rate": 16000, "normalise": True}


def test_a_normalising_encoder_does_not_hear_the_level(speech_folder):
    encoder = WaveformEncoder(speech_folder)
    quiet, loud = encoder.frames(noise(1)), encoder.frames(4 * noise(1))
    assert torch.allclose(quiet, loud, atol=1e-3)


def test_silence_gives_no_rows(speech_folder):
    rows, spans = WaveformEncoder(speech_folder)(np.zeros(32000, np.float32))
    assert rows.shape == (0, 32) and spans == []


def test_no_text_gives_no_rows(text_folder):
    rows, packed = SubwordEncoder(text_folder)([])
    assert rows.shape == (0, 16) and packed == []


def test_a_subword_encoder_gives_a_row_for_each_cue_and_splits_long_ones_evenly(text_folder):
    encoder = SubwordEncoder(text_folder, max_tokens=6)
    cues = [Cue("one two three", 1.0, 2.0), Cue("one two three four five one", 2.0, 8.0)]
    rows, packed = encoder(cues)
    assert rows.shape == (3, 16)
    assert [(r.start_s, r.end_s) for r in packed] == [(1.0, 2.0), (2.0, 5.0), (5.0, 8.0)]
    assert all(len(r.ids) <= 6 and r.ids[-1] == 2 for r in packed)
    alone, _ = encoder([Cue("four five one")])
    assert torch.allclose(rows[2], alone[0], atol=1e-5)


def test_another_kind_of_model_is_refused_by_name(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=9, **sizes)).save_pretrained(tmp_path)
    for kind, expected in ((WaveformEncoder, "hubert"), (SubwordEncoder, "roberta")):
        with pytest.raises(ValueError, match=f"'bert', expected one of.*{expected}"):
            kind(tmp_path)
