# What every training shares; a config overrides what differs.
seed = 0
training = dict(max_iters=1000, accumulation=1, clip_norm=1.0, precision="auto", deepspeed="deepspeed_zero2")
guard = dict(max_in_a_row=5, spike_sigmas=6.0)
optimizer = dict(lr=4e-5, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05, final_ratio=0.0)
hooks = dict(
    metrics=dict(type="MetricsHook", interval=10),
    checkpoint=dict(type="CheckpointHook", interval=500, minutes=30, keep=2),
    loss_curve=dict(type="LossCurveHook"),
)
# Weights & Biases beside it: tracking = [..., dict(type="WandbVisBackend", init_kwargs=dict(project="eo"))]
tracking = [dict(type="TensorboardVisBackend")]
