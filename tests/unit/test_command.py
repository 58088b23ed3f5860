"""What Hydra itself would write of a command, which may hold secrets."""

import stat
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from trompe.command import command


@pytest.mark.parametrize("key", ["my_token", "wandb_key"])
def test_what_hydra_saves_has_no_secrets(tmp_path: Path, key: str) -> None:
    outputs = tmp_path / "outputs"
    save = OmegaConf.save
    seen = []

    @command("train")
    def task(cfg: DictConfig) -> None:
        seen.append(cfg[key])
        for file in outputs.rglob("*.yaml"):
            assert "hunter" not in file.read_text()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

    words = [f"paths.output_dir={outputs}", "hydra.output_subdir=.hydra"]
    task(["-m", *words, "seed=0,1", f"+{key}=hunter22,hunter33"])
    assert sorted(seen) == ["hunter22", "hunter22", "hunter33", "hunter33"]
    task([*words, f"hydra.run.dir={outputs}/one", f"+{key}=hunter22"])
    files = {str(file.relative_to(outputs)) for file in outputs.rglob("*.yaml")}
    assert {"multirun/multirun.yaml", "multirun/3/.hydra/overrides.yaml"} < files
    assert {f"one/.hydra/{name}.yaml" for name in ("config", "hydra", "overrides")} < files
    saved = OmegaConf.load(outputs / "one/.hydra/config.yaml")
    assert saved[key] == "***" and saved.paths.output_dir == str(outputs)
    assert OmegaConf.save is save
