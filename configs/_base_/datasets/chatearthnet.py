# ChatEarthNet, captions by GPT-3.5 (data/README.md); CHATEARTHNET_ROOT names another folder than data/ChatEarthNet.
chatearthnet_train = dict(
    type="ChatEarthNetDataset",
    annotations="{{$CHATEARTHNET_ROOT:data/ChatEarthNet}}/json_files/ChatEarthNet_caps_35_train.json",
    folder="{{$CHATEARTHNET_ROOT:data/ChatEarthNet}}",
)
chatearthnet_val = dict(
    type="ChatEarthNetDataset",
    annotations="{{$CHATEARTHNET_ROOT:data/ChatEarthNet}}/json_files/ChatEarthNet_caps_35_val.json",
    folder="{{$CHATEARTHNET_ROOT:data/ChatEarthNet}}",
)
evaluation = dict(
    batch_size=16,
    max_new_tokens=256,
    settings=dict(multispectral=["multispectral"]),
    datasets=[
        dict(
            type="ChatEarthNetDataset",
            annotations="{{$CHATEARTHNET_ROOT:data/ChatEarthNet}}/json_files/ChatEarthNet_caps_35_test.json",
            folder="{{$CHATEARTHNET_ROOT:data/ChatEarthNet}}",
        )
    ],
)
