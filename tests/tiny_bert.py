"""A two-layer BERT with random weights, made on the spot from a word-level tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

SPECIAL: Final = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]  # the first four of every vocabulary


def save_tiny_bert(folder: Path, tokenizer: Tokenizer, hidden: int) -> Path:
    """Write the model and its tokenizer to the folder, as a base model is found."""
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer_class: Any = PreTrainedTokenizerFast
    pad, unk, cls, sep = SPECIAL
    tokenizer_class(
        tokenizer_object=tokenizer, pad_token=pad, unk_token=unk, cls_token=cls, sep_token=sep
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=hidden, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * hidden, max_position_embeddings=64,
    )  # fmt: skip
    model_class: Any = BertModel
    model_class(config).save_pretrained(folder)
    return folder
