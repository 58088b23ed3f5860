"""What a sweep refuses before it starts a trial."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.loss=hinge"], "nothing is swept"),
        (["model.los=hinge,wasserstein"], "Could not override 'model.los'"),
        (["model=dcgan,dcgna"], "dcgna"),
        (["model.optimizer.lr=log(1e-5,1e-3)", "sampler=grid"], "is an interval"),
        (["seed=0,1", "run=somewhere"], "leave run= out"),
        (["seed=0,1", "direction=up"], "direction=up is neither"),
        (["seed=0,1", "objective=[a,b]"], "must be as many"),
        (["seed=0,1", "n_trials=0"], "n_trials=0 must be a whole number"),
        (["seed=0,1", "jobs=no"], "jobs=no must be a whole number"),
        (["seed=0,1", "value=first"], "neither best nor last"),
        (["seed=0,1", "sampler=tpo"], "tpo"),
        (["resume=nowhere"], "there is no sweep folder at nowhere"),
        (["resume=."], "has no sweep.yaml"),
        (
            ["seed=0,1", "objective=[a,b]", "direction=[minimize,minimize]", "pruner=median"],
            "several objectives cannot be pruned",
        ),
        (["experiment=dcgan_cifar10", "seed=0,1"], "data.path"),
        (["seed=0,1", "storage=postgres://nobody@nowhere/x"], "cannot open the study's storage"),
    ],
)
def test_mistakes_are_told_before_anything_starts(trompe, arguments, message):
    assert message in trompe.fails("sweep", *arguments)
    assert not list(trompe.outputs.glob("sweeps/*/trials/*"))
