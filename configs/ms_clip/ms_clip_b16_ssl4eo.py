# MS-CLIP ViT-B/16, ten bands, OpenCLIP's weights trained further on SSL4EO-S12 v1.1 with captions, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/ms_clip/ms_clip_b16_ssl4eo.py 8
# Memory: 38.1 GiB on each GPU with 512 pairs of texts of 77 tokens (tools/estimate_memory.py THIS --gpus 8)
# Time: 0.0107 hours an epoch at 40 % of an H100's peak, where data come at 25,556 samples/s
#   (tools/plan_run.py THIS --gpus 8 --samples 984576 --sizes tokens=77 tiles=1)
_base_ = ["../_base_/schedules/ms_clip_ssl4eo.py", "../_base_/models/ms_clip_b16.py", "../_base_/datasets/ssl4eo_captions.py"]
systems = ["ms_clip"]
task = dict(
    data={{_base_.train_pairs}},
    augmentation=[  # 224 of the 264 px, as the data set recommends; a caption of the whole stays true of most of it
        dict(type="RandomCrop", side=(0.8485, 0.8485), whole_image_stays_true=True),
        dict(type="RandomOrientation"),
    ],
    batch_size=512,
    num_workers=12,
    length_window=None,
)
training = dict(
    validation=dict(
        every=240,
        data=[{{_base_.val_pairs}}],
        metrics=["retrieval"],
        samples=2048,
        batch_size=256,
        best="multispectral/retrieval/mean_recall",
    )
)
evaluation = dict(batch_size=256, settings=dict(multispectral=["multispectral"]), datasets=[{{_base_.val_pairs}}])
