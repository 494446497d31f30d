# Ten epochs of 984,576 pairs, 4,096 an update. The rates are upstream's defaults: 3.76e-5 for the patch embedding, a tenth elsewhere. Its
# optimiser (SGD without momentum), pairs an update and epochs are not known to be those of the released model, so these numbers and AdamW
# with CLIP's settings (arXiv 2103.00020, table 18) are choices of this project.
_base_ = ["../runtime.py"]
training = dict(max_iters=2404)
optimizer = dict(
    lr=3.76e-6,
    lr_factors={"model.vision_model.embeddings.patch_embedding": 10.0},
    weight_decay=0.2,
    betas=(0.9, 0.98),
    eps=1e-6,
)
schedule = dict(warmup_ratio=0.05)
hooks = dict(checkpoint=dict(interval=240))
