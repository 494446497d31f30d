# Series of the synthetic world (tools/make_synthetic.py --series ...); SERIES_ROOT names another place than data/series.
test_series = dict(type="SeriesDataset", annotations="{{$SERIES_ROOT:data/series}}/test/series.json")
evaluation = dict(
    batch_size=16,
    max_new_tokens=24,
    settings=dict(optical=["multispectral"]),
    datasets=[
        dict(test_series, name="which_date", where=dict(type="which_date")),
        dict(test_series, name="order", where=dict(type="order")),
        dict(test_series, name="change", where=dict(type="change")),
        dict(test_series, name="region", where=dict(type="region"), task="region"),
        dict(test_series, name="change_mask", where=dict(type="change_mask"), task="referring"),
    ],
)
