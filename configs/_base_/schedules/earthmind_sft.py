# The upstream instruction tuning: one epoch of 2.02 million samples, 8 ranks x 4 an update.
_base_ = ["../runtime.py"]
training = dict(max_iters=63095, accumulation=4)
optimizer = dict(lr=4e-5, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
hooks = dict(checkpoint=dict(interval=1000))
