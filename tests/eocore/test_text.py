from eocore.text import did_you_mean, nearest, some_of


def test_the_nearest_choice_is_named():
    assert did_you_mean("trainin", ["optimizer", "training"]) == " Did you mean 'training'?"


def test_nothing_is_named_where_nothing_looks_alike():
    assert did_you_mean("seed", ["optimizer", "training"]) == ""


def test_best_first_and_no_more_than_asked_for():
    assert nearest("b1", ["b11", "b1", "c2"], count=2) == ["b1", "b11"]
    assert nearest("b1", ["b11"], cutoff=0.9) == []


def test_long_lists_are_cut_and_counted():
    assert some_of([]) == "none"
    assert some_of(["a", "b"]) == "a; b"
    assert some_of(["a", "b", "c"], most=1) == "a; and 2 more"
