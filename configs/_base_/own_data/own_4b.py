# All but the data of a training of one's own on EarthMind 4B, 8 x 80 GB, ZeRO-2; tools/new_dataset.py writes the rest (docs/own_data.md).
# It starts from InternVL2.5-4B and SAM 2.1 (pretrained/README.md); from EarthMind's own weights:
#   --cfg-options task.model.pretrained=pretrained/earthmind-4b task.tokenizer.path=pretrained/earthmind-4b
_base_ = ["../runtime.py", "../models/earthmind_4b.py"]
systems = ["earthmind"]
task = dict(batch_size=1, max_length=8192, num_workers=4)
training = dict(max_iters=2000, accumulation=4)
optimizer = dict(lr=4e-5)
