# SSL4EO-S12 v1.1 (the Zarr release, whose numbers carry the offset of 1000) with the captions of Llama3-SSL4EO-S12-v1.1-captions
# (data/README.md; the extra `zarr`). SSL4EO_ROOT names another place than data.
train_pairs = dict(
    type="Ssl4eoCaptionDataset",
    annotations="{{$SSL4EO_ROOT:data}}/Llama3-SSL4EO-S12-v1.1-captions/train.parquet",
    images=dict(
        multispectral=dict(root="{{$SSL4EO_ROOT:data}}/SSL4EO-S12-v1.1-Zarr/train/S2L2A", sensor="sentinel2_l2a_pb0400"),
    ),
)
val_pairs = dict(
    type="Ssl4eoCaptionDataset",
    annotations="{{$SSL4EO_ROOT:data}}/Llama3-SSL4EO-S12-v1.1-captions/val.parquet",
    images=dict(
        multispectral=dict(root="{{$SSL4EO_ROOT:data}}/SSL4EO-S12-v1.1-Zarr/val/S2L2A", sensor="sentinel2_l2a_pb0400"),
    ),
    task="retrieval",
)
