# EarthMind tiny on series of the synthetic world (tools/make_synthetic.py --series 2400 40 120), from scratch, 2 CPU cores, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_series.py 2
_base_ = ["../_base_/runtime.py", "../_base_/models/earthmind_tiny.py", "../_base_/datasets/series.py"]
systems = ["earthmind"]
other_dates = dict(type="ShiftDates", days=366)  # else a small model learns the dates of the training series by heart
sensor_choice = dict(type="ChooseModalities", settings=dict(optical=["multispectral"]))
task = dict(
    model=dict(text_config=dict(max_position_embeddings=8192, num_hidden_layers=4)),
    tokenizer=dict(
        type="TrainedTokenizer",
        path="{{$SERIES_ROOT:data/series}}/tokenizer",
        corpus=["{{$SERIES_ROOT:data/series}}/train/series.json", "{{$SERIES_ROOT:data/series}}/train/texts.json"],
        texts=["multispectral: sar: rgb: ", "before image after image region1. What is region1?"],
        vocab_size=512,
    ),
    data=dict(
        type="Mixture",
        parts=[
            dict(
                data=dict(
                    type="ImageConversations",
                    name="series",
                    max_questions=16,
                    independent=True,
                    datasets=[dict(type="SeriesDataset", annotations="{{$SERIES_ROOT:data/series}}/train/series.json", task="chat")],
                    transforms=[sensor_choice, other_dates],
                ),
            ),
            dict(
                data=dict(
                    type="LlavaDataset",
                    annotations="{{$SERIES_ROOT:data/series}}/train/texts.json",
                    images=dict(),
                    task="chat",
                    transforms=[other_dates],
                ),
            ),
        ],
    ),
    batch_size=18,  # of which 3 or 4 are series, the others texts
    max_length=2048,
)
training = dict(max_iters=1050)
optimizer = dict(lr=1.5e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
