"""Options of generation: which an answer with masks allows, what their values may be, and which cannot see images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from transformers import CompileConfig, GenerationConfig


class GenerationOptionError(ValueError):
    """An option of generation is unknown, cannot be used here, or has a wrong value."""


@dataclass(frozen=True)
class _Rule:
    """What a value must be: in words, and as a test."""

    expected: str
    holds: Callable[[Any], bool]


def _number(value: Any, low: float, *, high: float = float("inf")) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and low <= float(value) <= high


def _whole(value: Any, low: int) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= low


def _ids(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(_whole(number, 0) for number in value)


def _texts(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else value
    return isinstance(texts, (list, tuple)) and len(texts) > 0 and all(isinstance(text, str) and text for text in texts)


def _biases(value: Any) -> bool:
    pairs = value.items() if isinstance(value, Mapping) else value
    if not isinstance(value, (Mapping, list, tuple)) or not value:
        return False
    return all(isinstance(pair, (list, tuple)) and len(pair) == 2 and _ids(pair[0]) and _number(pair[1], -float("inf")) for pair in pairs)


_SMALLEST = 1e-9
"""Stands for "above 0" where a number must be."""
_YES_OR_NO = _Rule("true or false", lambda value: isinstance(value, bool))
_ABOVE_ZERO = _Rule("a number above 0", lambda value: _number(value, _SMALLEST) and value != float("inf"))
_FRACTION = _Rule("a number above 0, at most 1", lambda value: _number(value, _SMALLEST, high=1.0))
_SHARE_OR_NONE = _Rule("a number from 0 to 1", lambda value: _number(value, 0.0, high=1.0))
_COUNT = _Rule("a whole number, at least 0", lambda value: _whole(value, 0))
_SOME = _Rule("a whole number, at least 1", lambda value: _whole(value, 1))
_TOKENS = _Rule("a list of token ids, such as [5, 9]", _ids)

OPTIONS: dict[str, _Rule] = {
    "do_sample": _YES_OR_NO,
    "temperature": _ABOVE_ZERO,
    "top_k": _COUNT,
    "top_p": _FRACTION,
    "min_p": _SHARE_OR_NONE,
    "typical_p": _FRACTION,
    "epsilon_cutoff": _SHARE_OR_NONE,
    "eta_cutoff": _SHARE_OR_NONE,
    "repetition_penalty": _ABOVE_ZERO,
    "no_repeat_ngram_size": _COUNT,
    "bad_words_ids": _Rule(
        "a list of lists of token ids, such as [[5], [9, 3]]",
        lambda value: isinstance(value, (list, tuple)) and bool(value) and all(map(_ids, value)),
    ),
    "suppress_tokens": _TOKENS,
    "begin_suppress_tokens": _TOKENS,
    "sequence_bias": _Rule("a list of token ids and biases, such as [[[5, 9], -2.0]]", _biases),
    "min_new_tokens": _COUNT,
    "stop_strings": _Rule("a text, or a list of texts", _texts),
    "max_time": _ABOVE_ZERO,
    "renormalize_logits": _YES_OR_NO,
    "remove_invalid_values": _YES_OR_NO,
    "use_cache": _Rule("true: without a cache the images would be forgotten after the first token", lambda value: value is True),
    "cache_implementation": _Rule("'dynamic' or 'static'", lambda value: value in ("dynamic", "static")),
    "max_cache_len": _SOME,
    "compile_config": _Rule("a CompileConfig of transformers", lambda value: isinstance(value, CompileConfig)),
    "disable_compile": _YES_OR_NO,
}
"""Fields of transformers' GenerationConfig that leave one answer a question, written token by token, so that each [SEG] has its state."""

OBJECTS = ("logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "streamer", "tokenizer")
"""Further arguments of `generate` that `answer` hands on; they are Python objects, so no command line gives them."""

_ONE_ANSWER = "masks belong to one answer a sample"
_STEPWISE = "answers are written token by token, so that each [SEG] has its state"
_ANSWERS = "what is generated becomes answers"
_LENGTH = "max_new_tokens limits answers"
_END = "the processor says what ends an answer; stop_strings adds to it"
_BLIND = "its readings of the prompt would not see the images"
REASONS = {
    **dict.fromkeys(
        ("num_beams", "num_return_sequences", "num_beam_groups", "diversity_penalty", "early_stopping", "length_penalty"), _ONE_ANSWER
    ),
    **dict.fromkeys(("constraints", "force_words_ids"), _ONE_ANSWER),
    **dict.fromkeys(("prompt_lookup_num_tokens", "assistant_model", "assistant_tokenizer", "assistant_early_exit", "use_mtp"), _STEPWISE),
    **dict.fromkeys(("speculation_type", "penalty_alpha", "dola_layers", "custom_generate", "is_assistant"), _STEPWISE),
    **dict.fromkeys(("guidance_scale", "negative_prompt_ids", "negative_prompt_attention_mask"), _BLIND),
    **dict.fromkeys(("token_healing", "prefill_chunk_size", "encoder_repetition_penalty", "encoder_no_repeat_ngram_size"), _BLIND),
    **dict.fromkeys(("return_dict_in_generate", "output_scores", "output_logits"), _ANSWERS),
    **dict.fromkeys(("output_attentions", "output_hidden_states"), _ANSWERS),
    **dict.fromkeys(("max_length", "min_length"), _LENGTH),
    "max_new_tokens": "it has an option of its own",
    **dict.fromkeys(("eos_token_id", "pad_token_id", "bos_token_id"), _END),
}
"""Why an option of `generate` cannot be used for answers; one that is not named here is not known to work."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "guidance_scale": (1,),
    "penalty_alpha": (0,),
    "diversity_penalty": (0,),
    "encoder_repetition_penalty": (1,),
    "encoder_no_repeat_ngram_size": (0,),
    "length_penalty": (1,),
}
"""Values that leave an option off; None and False always do, but for `use_cache`."""
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
LENGTHS = ("max_new_tokens", "max_length", "min_length")
"""Fields that a model's own generation config may hold: the processor's and the call's replace them."""
BLIND_OPTIONS = (
    *(name for name, reason in REASONS.items() if reason == _BLIND),
    *("prompt_lookup_num_tokens", "assistant_model", "assistant_early_exit", "use_mtp", "speculation_type"),
    *("penalty_alpha", "dola_layers", "custom_generate"),
)
"""Options that read prompt or answer in their own way, where images, which stand in no token, are lost."""


def merge_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a call, with those of a `generation_config` among them taken out of it; what is given by name counts first."""
    given = options.get("generation_config")
    fields = {} if given is None else {name: value for name, value in _fields(given).items() if name not in TOKEN_IDS}
    return {**fields, **{name: value for name, value in options.items() if name != "generation_config" and value is not None}}


def require_options(given: Any) -> dict[str, Any]:
    """The options that a call names for `answer`, empty for None.

    Raises:
        GenerationOptionError: they are no mapping, or hold what the call has an argument of its own for.
    """
    if not isinstance(given or {}, Mapping):
        raise GenerationOptionError(f"generation={_short(given)}: expected a mapping of options, such as {{'do_sample': True}}.")
    options = dict(given or {})
    own = sorted({"batch", "processor", "sizes", "max_new_tokens"} & set(options))
    if own:
        raise GenerationOptionError(
            f"generation holds {', '.join(own)}, which the call gives itself. max_new_tokens is an argument beside generation."
        )
    return options


def stop_texts(*sources: str | Sequence[str] | None) -> list[str]:
    """All texts that end an answer, each once."""
    texts = [text for source in sources for text in ([source] if isinstance(source, str) else source or ())]
    return list(dict.fromkeys(texts))


def check_answer_options(options: Mapping[str, Any], own: GenerationConfig, *, max_new_tokens: int) -> None:
    """Nothing; raises GenerationOptionError where an answer with masks cannot be generated in this way.

    Args:
        options: arguments of `answer` for generation, from `merge_options`.
        own: the generation config of the model, which counts where `options` are silent.
        max_new_tokens: longest answer.
    """
    if not _whole(max_new_tokens, 1):
        raise GenerationOptionError(f"max_new_tokens={max_new_tokens!r}: expected a whole number, at least 1.")
    for name, value in options.items():
        if name not in OBJECTS:
            check_option(name, value)
    for name, value in _fields(own).items():
        if name not in (*TOKEN_IDS, *LENGTHS) and options.get(name) is None:
            check_option(name, value, where=" in the generation config")
    named = options.get("min_new_tokens")
    least = (own.min_new_tokens if named is None else named) or 0
    if least > max_new_tokens:
        where = "" if named is not None else " in the generation config"
        raise GenerationOptionError(
            f"min_new_tokens={least}{where} is more than max_new_tokens={max_new_tokens}: lower the one or raise the other."
        )


def check_option(name: str, value: Any, *, where: str = "") -> None:
    """Nothing; raises GenerationOptionError where the option is not among `OPTIONS` and is not off, or where its value is wrong.

    Args:
        name: of the option.
        value: what it is set to; None leaves it off.
        where: where it stands, for the message.
    """
    if _is_off(name, value):
        return
    if name not in OPTIONS:
        known = name in REASONS or name in vars(GenerationConfig())
        reason = REASONS.get(name, "it is not known to keep answers and masks together" if known else "there is no such option")
        raise GenerationOptionError(f"generation option {name}={_short(value)}{where}: {reason}. Options: {', '.join(OPTIONS)}.")
    rule = OPTIONS[name]
    if not rule.holds(value):
        raise GenerationOptionError(f"generation option {name}={_short(value)}{where}: expected {rule.expected}.")


def check_sees_images(options: Mapping[str, Any], own: GenerationConfig) -> None:
    """Nothing; raises GenerationOptionError where `generate` could not show the images to the model.

    Args:
        options: arguments of `generate`.
        own: the generation config of the model.
    """
    given = options.get("generation_config")
    settings = {**_fields(own), **({} if given is None else _fields(given)), **options}
    if settings.get("use_cache") is False:
        raise GenerationOptionError(
            "use_cache=False: without a cache the images would be forgotten after the first token. Leave it at True."
        )
    if settings.get("cache_implementation") == "paged":
        raise GenerationOptionError("cache_implementation='paged' reads token ids alone, so the images would be lost. Leave it out.")
    for name in BLIND_OPTIONS:
        if not _is_off(name, settings.get(name)):
            raise GenerationOptionError(
                f"generation option {name}={_short(settings[name])} cannot be used with images: {_BLIND}. "
                "Leave it out, or ask about text alone."
            )


def _is_off(name: str, value: Any) -> bool:
    if name == "use_cache":
        return value is None
    return value is None or value is False or (isinstance(value, Real) and value in NEUTRAL.get(name, ()))


def _fields(config: GenerationConfig) -> dict[str, Any]:
    """What a generation config sets of transformers' fields; what others left in it, transformers does not read.

    Raises:
        GenerationOptionError: it is none.
    """
    if not isinstance(config, GenerationConfig):
        raise GenerationOptionError(f"generation_config={_short(config)}: expected a GenerationConfig of transformers.")
    known = GenerationConfig()
    return {
        name: getattr(config, name)
        for name in config.to_diff_dict()
        if hasattr(known, name) and name != "transformers_version" and not name.startswith("_")
    }


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float, list, tuple, dict)) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
