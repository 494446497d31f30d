# All but the data of a training of one's own on a small EarthMind (3 M parameters, from scratch), 2 CPU cores; tools/new_dataset.py writes
# the rest (docs/own_data.md). Images of any size are shown at 96 x 96 px. The default length is to try things out.
_base_ = ["../runtime.py", "../models/earthmind_tiny.py"]
systems = ["earthmind"]
task = dict(
    tokenizer=dict(type="TrainedTokenizer", path="", corpus=[], texts=["multispectral: sar: rgb: "], vocab_size=768),
)
training = dict(max_iters=300)
optimizer = dict(lr=1.5e-3, weight_decay=0.05)
hooks = dict(checkpoint=dict(interval=100))
