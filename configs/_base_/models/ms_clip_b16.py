# ViT-B/16 of OpenCLIP (laion2b_s34b_b88k), its patch embedding widened to ten bands of Sentinel-2: the weights of blue, green and red are
# placed by name, those of the other bands begin at zero. The sizes are compared with those of the folder. All trains, the temperature too.
task = dict(
    type="MsClipTask",
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/clip-vit-b-16",
        new_channels="zero",
        projection_dim=512,
        vision_config=dict(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=16, hidden_act="gelu"
        ),
        text_config=dict(
            vocab_size=49408,
            hidden_size=512,
            intermediate_size=2048,
            num_hidden_layers=12,
            num_attention_heads=8,
            hidden_act="gelu",
        ),
    ),
    tokenizer=dict(type="ClipTokenizer", path="{{$PRETRAINED_ROOT:pretrained}}/clip-vit-b-16"),
    processor=dict(preset=10, image_size=224, context_length=77, long_texts="cut"),  # captions of a language model; CLIP cuts at 77 tokens
)
