"""The search space in Hydra's grammar."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from trompe.errors import UserError
from trompe.sweeps.arguments import split_arguments
from trompe.sweeps.space import meaning, parse_space


@pytest.mark.parametrize(
    ("value", "distribution"),
    [
        ("log(1e-5,1e-3)", FloatDistribution(1e-5, 1e-3, log=True)),
        ("int(log(8,256))", IntDistribution(8, 256, log=True)),
        ("interval(0,0.9)", FloatDistribution(0, 0.9)),
        ("tag(log,interval(1,8))", FloatDistribution(1, 8, log=True)),
        ("int(interval(1,8))", IntDistribution(1, 8)),
        ("range(1,8,3)", IntDistribution(1, 7, step=3)),
        ("range(0,10,5)", IntDistribution(0, 5, step=5)),  # the stop is not in it
        ("range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("choice(hinge,non_saturating)", CategoricalDistribution(["hinge", "non_saturating"])),
        ("1e-4,2e-4", CategoricalDistribution(["0.0001", "0.0002"])),
        ("[a,b],[c]", CategoricalDistribution(["[a,b]", "[c]"])),
        ("0,0.0,1,-0.0", CategoricalDistribution(["0", "1"])),
        ("1.0,1,'1',true", CategoricalDistribution(["1.0", "'1'", "True"])),
        ("hinge,'hinge',\"hinge\"", CategoricalDistribution(["hinge"])),
    ],
)
def test_dimension(value, distribution):
    space = parse_space(["seed=3", f"key={value}"])
    assert space.dimensions == {"key": distribution}
    assert space.fixed == ("seed=3",)


def test_choices_of_a_resumed_sweep_stay_what_its_study_has():
    """An older version took all spellings."""
    old = CategoricalDistribution(["0", "0.0"])
    assert parse_space(["a=0,0.0"], {"a": str(old)}).dimensions == {"a": old}
    new = CategoricalDistribution(["0"])
    assert parse_space(["a=0,0.0"], {"a": str(new)}).dimensions == {"a": new}


def test_the_last_override_of_a_key_wins():
    assert parse_space(["a=1,2", "b=1", "b=2,3", "a=5"]).fixed == ("a=5",)


def test_overrides_of_a_trial():
    space = parse_space(["seed=3", "model/augment=none,diffaugment", "lr=log(1e-5,1e-3)"])
    parameters = {"model/augment": "none", "lr": 1.234567890123e-4}
    assert space.overrides(parameters) == [
        "seed=3",
        "model/augment=none",
        "lr=0.0001234567890123",
    ]


def test_combinations():
    space = parse_space(["a=x,y", "b=range(1,4)"])
    chosen = [(p["a"], p["b"]) for p in space.combinations()]
    assert chosen == [(a, b) for a in "xy" for b in (1, 2, 3)]
    with pytest.raises(UserError, match="lr is an interval"):
        parse_space(["a=x,y", "lr=log(1e-5,1e-3)"]).combinations()


def test_examples_show_every_choice_and_both_ends():
    examples = parse_space(["a=x,y,z", "b=int(interval(1,9))"]).examples()
    assert {override for example in examples for override in example} == {
        *("a=x", "a=y", "a=z"),
        *("b=1", "b=9"),
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr=log(1,0)", "0 < start < stop"),
        ("lr=log(0,1)", "0 < start < stop"),
        ("lr=choice(", "cannot read"),
        ("lr=interval(1,0)", "lr=interval"),
        ("n=range(3,1)", "start < stop"),
        ("model=glob(*)", "cannot use a glob"),
        ("lr=1", "nothing is swept"),
    ],
)
def test_mistakes(override, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_space([override])
    assert "\n" not in str(caught.value)


def test_arguments_are_split():
    own, flags, experiment = split_arguments(
        [
            *("--config-dir", "mine", "experiment=dcgan_demo", "sampler=grid", "jobs=2"),
            *("sampler.seed=3", "model.loss=a,b", "paths.output_dir=x", "+new.key=1", "~logger"),
        ]
    )
    expected = ["sampler=grid", "jobs=2", "sampler.seed=3", "paths.output_dir=x"]
    assert own == ["--config-dir", "mine", *expected]
    assert flags[0] == "--config-dir" and flags[1].endswith("/mine")
    assert experiment == [
        *("experiment=dcgan_demo", "model.loss=a,b", "paths.output_dir=x", "+new.key=1"),
        "~logger",
    ]


@pytest.mark.parametrize(
    ("overrides", "size", "is_listed"),
    [
        (["a=x,y", "b=range(0,6,2)"], 6, True),
        (["a=x,y", "b=int(interval(1,4))"], 8, False),
        (["a=x,y", "b=interval(0,1)"], None, False),
        (["a=int(log(1,8))"], 8, False),
    ],
)
def test_size(overrides, size, is_listed):
    space = parse_space(overrides)
    assert (space.size, space.is_listed) == (size, is_listed)
    if size is not None:
        assert len(list(space.each_combination())) == size


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1e-4", "0.0001", True),
        ("1e-4", 0.0001, True),
        ("'x y'", '"x y"', True),
        ("hinge", "wasserstein", False),
        ("nan", "NaN", True),
        ("null", "NULL", True),
        ("null", "None", False),  # a text, for Hydra
        ("0x10", "16", False),  # so is this
        ("0x10", "'0x10'", True),
        ("true", "1", False),
        ("'1'", "1", False),
        ("[1,[a]]", "[1.0,['a']]", True),
        ("{a:1,b:x}", "{b:'x',a:1.0}", True),
        ("[a]", "{a:1}", False),
        ("1,2", "1,2", True),  # of a file of somebody else's: no value of a trial
        ("(", "(", True),
    ],
)
def test_values_in_other_words(a, b, same):
    assert (meaning(a) == meaning(b)) == same
    assert not same or hash(meaning(a)) == hash(meaning(b))
