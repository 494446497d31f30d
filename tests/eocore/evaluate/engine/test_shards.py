import pytest

from eocore.errors import DataError
from eocore.evaluate.engine.shards import PredictionWriter, merge_shards, shard_path
from eocore.evaluate.predictions import read_predictions
from eocore.evaluate.scoring.score import score_predictions


def write_ranks(folder, samples, *, world_size, run_id="run"):
    for rank in range(world_size):
        with PredictionWriter(shard_path(folder, run_id=run_id, rank=rank, world_size=world_size)) as writer:
            for sample in samples[rank::world_size]:
                writer.write(sample)


def keys(samples):
    return [sample.key for sample in samples]


def test_any_number_of_ranks_merges_to_the_same_samples_and_scores(tmp_path, expected, predicted):
    merged = []
    for world_size in (1, 2, 3):
        write_ranks(tmp_path / str(world_size), predicted, world_size=world_size)
        merged.append(merge_shards(tmp_path / str(world_size), keys(expected), run_id="run"))
    assert merged[0] == merged[1] == merged[2] == predicted
    assert score_predictions(merged[0]) == score_predictions(merged[2])


def test_resumed_run_predicts_only_what_lacks(tmp_path, predicted):
    path = tmp_path / "p.jsonl"
    with PredictionWriter(path) as writer:
        writer.write(predicted[0])
    with PredictionWriter(path) as writer:
        assert [sample.key in writer for sample in predicted[:2]] == [True, False]
        writer.write(predicted[1])
    assert read_predictions(path) == predicted[:2]


def test_line_cut_short_is_predicted_again(tmp_path, predicted):
    path = tmp_path / "p.jsonl"
    with PredictionWriter(path) as writer:
        writer.write(predicted[0])
        writer.write(predicted[1])
    path.write_bytes(path.read_bytes()[:-20])
    with PredictionWriter(path) as writer:
        assert predicted[1].key not in writer
        writer.write(predicted[1])
    assert read_predictions(path) == predicted[:2]


def test_each_sample_is_on_disk_before_the_next(tmp_path, predicted):
    with PredictionWriter(tmp_path / "p.jsonl") as writer:
        writer.write(predicted[0])
        assert read_predictions(tmp_path / "p.jsonl") == predicted[:1]


def test_writing_twice_is_refused(tmp_path, predicted):
    with PredictionWriter(tmp_path / "p.jsonl") as writer:
        writer.write(predicted[0])
        with pytest.raises(DataError, match=r"p\.jsonl: sample 'q0' is there already; ask `key in writer`"):
            writer.write(predicted[0])


def test_a_run_may_resume_with_another_number_of_ranks(tmp_path, expected, predicted):
    write_ranks(tmp_path, predicted[:100], world_size=2)
    write_ranks(tmp_path, predicted[100:], world_size=3)
    assert merge_shards(tmp_path, keys(expected), run_id="run") == predicted


def test_shards_of_another_run_are_refused(tmp_path, expected, predicted):
    write_ranks(tmp_path, predicted[:5], world_size=3, run_id="older")
    write_ranks(tmp_path, predicted, world_size=2)
    with pytest.raises(DataError, match=r"holds predictions of another run \(predictions.older.0of3.jsonl, .*--overwrite"):
        merge_shards(tmp_path, keys(expected), run_id="run")


def test_lacking_shard(tmp_path, expected, predicted):
    write_ranks(tmp_path, predicted, world_size=2)
    shard_path(tmp_path, run_id="run", rank=1, world_size=2).unlink()
    with pytest.raises(DataError, match=r"240 of 480 samples are in no shard of run 'run'"):
        merge_shards(tmp_path, keys(expected), run_id="run")


def test_lacking_samples(tmp_path, expected, predicted):
    write_ranks(tmp_path, predicted[:-2], world_size=2)
    with pytest.raises(DataError, match=r"2 of 480 samples are in no shard of run 'run' \(c39, r39\). Resume it"):
        merge_shards(tmp_path, keys(expected), run_id="run")


def test_sample_in_two_shards(tmp_path, expected, predicted):
    write_ranks(tmp_path, predicted, world_size=2)
    with PredictionWriter(shard_path(tmp_path, run_id="run", rank=1, world_size=2)) as writer:
        writer.write(predicted[0])
    with pytest.raises(DataError, match=r"predictions.run.1of2.jsonl: sample 'q0' stands also in predictions.run.0of2.jsonl"):
        merge_shards(tmp_path, keys(expected), run_id="run")


def test_sample_of_other_data(tmp_path, expected, predicted):
    write_ranks(tmp_path, predicted, world_size=2)
    with pytest.raises(DataError, match=r"1 samples are not among those of run 'run' \(q0\)"):
        merge_shards(tmp_path, keys(expected[1:]), run_id="run")


def test_run_id_must_suit_a_file_name(tmp_path):
    with pytest.raises(DataError, match=r"run id '../x' goes into a file name"):
        shard_path(tmp_path, run_id="../x", rank=0, world_size=1)
