# EarthMind 2B: InternVL3.5-2B (InternViT-300M, Qwen3-1.7B) and SAM 2.1 Hiera large, in the base's own chat format.
_base_ = ["./earthmind_4b.py"]
task = dict(
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/internvl3_5-2b-sam2-l",
        text_config=dict(
            model_type="qwen3",
            vocab_size=151936,
            hidden_size=2048,
            intermediate_size=6144,
            num_hidden_layers=28,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=128,
        ),
    ),
    tokenizer=dict(path="{{$PRETRAINED_ROOT:pretrained}}/internvl3_5-2b-sam2-l"),
    processor=dict(template="chatml"),
)
