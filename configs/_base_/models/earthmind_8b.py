# EarthMind 8B: InternVL3.5-8B (InternViT-300M, Qwen3-8B) and SAM 2.1 Hiera large, in the base's own chat format.
_base_ = ["./earthmind_4b.py"]
task = dict(
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/internvl3_5-8b-sam2-l",
        text_config=dict(
            model_type="qwen3",
            vocab_size=151936,
            hidden_size=4096,
            intermediate_size=12288,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
        ),
    ),
    tokenizer=dict(path="{{$PRETRAINED_ROOT:pretrained}}/internvl3_5-8b-sam2-l"),
    processor=dict(template="chatml"),
)
