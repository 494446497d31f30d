# Aerith 7B, stage 0: DINOv3's head learns CLIP's space on the pictures of the training sets; no language model is read. 8 GPUs of any size:
#   bash tools/dist.sh train configs/aerith/aerith_7b_stage0.py 8
_base_ = ["../_base_/runtime.py", "../_base_/datasets/aerith_sets.py"]
systems = ["aerith"]
task = dict(
    type="AerithAlignmentTask",
    model=dict(
        parts=dict(
            clip="{{$PRETRAINED_ROOT:pretrained}}/clip-vit-large-patch14",
            dinov3="{{$PRETRAINED_ROOT:pretrained}}/dinov3-vitb16-pretrain-lvd1689m",
        )
    ),
    data=dict(type="Mixture", parts=[dict(data={{_base_.sets.ucm}}), dict(data={{_base_.sets.rsicap}}), dict(data={{_base_.sets.rsitmd}})]),
    batch_size=32,
    num_workers=4,
)
training = dict(max_iters=500)
optimizer = dict(lr=1e-3, weight_decay=0.0)
