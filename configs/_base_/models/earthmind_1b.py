# EarthMind 1B: as the 4B, with InternVL2.5-1B (InternViT-300M, Qwen2.5-0.5B).
_base_ = ["./earthmind_4b.py"]
task = dict(
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/internvl2_5-1b-sam2-l",
        text_config=dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14),
    ),
    tokenizer=dict(path="{{$PRETRAINED_ROOT:pretrained}}/internvl2_5-1b-sam2-l"),
)
