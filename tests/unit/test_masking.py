"""What counts as a secret, and what does not."""

import json
import os
import stat
from pathlib import Path

import pytest
import yaml

from trompe.command import config_dir
from trompe.errors import UserError
from trompe.masking import has_mask, mask, real_storage
from trompe.runs.run_folder import RunFolder, write_json

HEX = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("storage=postgresql://user:secret@host/db", "storage=postgresql://user:***@host/db"),
        ("mysql+pymysql://u:p@ss:w/rd@host:3306/db?x=1", "mysql+pymysql://u:***@host:3306/db?x=1"),
        ("cannot open 'redis://:pass@host'", "cannot open 'redis://:***@host'"),
        ("https://host/x?token=abcd1234efgh&y=1", "https://host/x?token=***&y=1"),
        ("password=hunter", "password=***"),
        ("+logger.c.api_key=" + HEX, "+logger.c.api_key=***"),
        ("WANDB_API_KEY=" + HEX, "WANDB_API_KEY=***"),
        ("logger={c:{hf_token:abcd1234efgh,x:1}}", "logger={c:{hf_token:***,x:1}}"),
        ("a.client_secret='abcd1234efgh'", "a.client_secret='***'"),
        ("x=hf_" + "aB3" * 12, "x=***"),
        ("x=ghp_" + "aB3" * 12, "x=***"),
        ("x=github_pat_" + "aB3_" * 12, "x=***"),
        ("x=AKIA" + "A1B2" * 4, "x=***"),
        ("x=sk-proj-" + "aB3" * 12, "x=***"),
        ("Authorization: Bearer abcdefghijklmnop1234", "Authorization: Bearer ***"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n+MII\n+x\n-----END OPENSSH PRIVATE KEY-----\n+y",
            "-----BEGIN OPENSSH PRIVATE KEY-----***-----END OPENSSH PRIVATE KEY-----\n+y",
        ),
        ("+x\n+API_KEY=abcd1234efgh\n", "+x\n+API_KEY=***\n"),
        ("+x\n+password = 'hunter'\n", "+x\n+password = '***'\n"),
        ("+x\n+api_key: str = 'abcd1234efgh'\n", "+x\n+api_key: str = '***'\n"),
        ("postgresql://u:o'brien77@db/x", "postgresql://u:***@db/x"),
        ("storage='postgresql://u:o\\'brien@x@db/x'", "storage='postgresql://u:***@db/x'"),
        ('"postgresql://u:o\'brien 77@db/x"', '"postgresql://u:***@db/x"'),
        ("postgresql://u:my pass word@db/x", "postgresql://u:***@db/x"),
        ('+x = "postgresql://u:o\'brien 7@db/x"\n', '+x = "postgresql://u:***@db/x"\n'),
        ("https://abcd1234efgh5678@host/x.git", "https://***@host/x.git"),
        (f"git+https://{HEX}:x-oauth-basic@host/x", "git+https://***:***@host/x"),
        ("https://h/c?sv=1&sig=a%2Fb%3D&se=2", "https://h/c?sv=1&sig=***&se=2"),
        (f"https://h/x?X-Amz-Signature={HEX}&a=1", "https://h/x?X-Amz-Signature=***&a=1"),
        ("?X-Amz-Credential=ABCD1234%2Fs3&a=1", "?X-Amz-Credential=***&a=1"),
        ("AccountName=a;AccountKey=abc123def456==;x=y", "AccountName=a;AccountKey=***;x=y"),
        ("+auth=hunter22", "+auth=***"),
        ("db.pw=hunter22", "db.pw=***"),
        ("DB_PASS=hunter22", "DB_PASS=***"),
        ("wandb_key=abcd1234efgh", "wandb_key=***"),
        ("+my_tokens=hunter22", "+my_tokens=***"),
        ("+my_token=hunter22,hunter33 seed=0,1", "+my_token=***,*** seed=0,1"),
        ("+my_token=hunter22,seed=0,1", "+my_token=***,seed=0,1"),
        ("+my_token=choice(hunter22,'hunter33')", "+my_token=choice(***,'***')"),
        ("+api_keys=[hunter22,'hunter33']", "+api_keys=[***,'***']"),
        ("+passwords={a:hunter,b:[x,y]}", "+passwords={a:***,b:[***,***]}"),
        ('{"tokens": {"hub2": "abcd1234efgh"}}', '{"tokens": {"hub2": "***"}}'),
        ("+tokens = ['abcd1234efgh', other]\n", "+tokens = ['***', other]\n"),
        ("x=sk_live_" + "aB3" * 8, "x=***"),
        ("x=npm_" + "aB3" * 12, "x=***"),
        ("said 'Basic dXNlcjpwYXNz'", "said 'Basic ***'"),
        ("authorization: basic abcdefghij", "authorization: basic ***"),
        ("headers: Bearer abcd1234efgh", "headers: Bearer ***"),
    ],
)
def test_secrets(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked and has_mask(masked)


@pytest.mark.parametrize(
    "text",
    [
        "index 9a6e402aaaa..62a2c61bbbb 100644",
        "commit " + HEX,
        f"data_fingerprint={HEX}{HEX[:24]}",
        f"weights of efflite0, sha256: {HEX}{HEX[:24]}",
        "data.tokens=16",
        "model.tokens=[1,2,3]",
        "model.tokenizer=bpe12345",
        "model.token=mean",
        "model.class_token=learned",
        "https://host:80/path",
        "data.path=/home/a:b@c",
        "storage=postgresql://user@host/db",
        "storage=sqlite:////tmp/x.db",
        "logger.c.api_key=${oc.env:KEY}",
        "password=null",
        "vit_base_patch32_clip_224.openai",
        "+def login(password: str, token: str = None) -> None:\n",
        "+    token = tokens2\n+    password = getpass()\n+    login(token=token, password=key)\n",
        "+    token = '<unk>'\n+    secret=self.secret,\n",
        "+    url = 'http://host:' + port + '@x'\n",
        "author=someone1234",
        "bypass=hunter22",
        "compass=abcd1234efgh",
        "pass_through=abcd1234efgh",
        "model.keys=[abcd1234efgh]",
        "model.pass=forward",
        "model.auth=none",
        "n_tokens=4096",
        "passwords=3",
        "data.tokens=16,32,64",
        "model.token=cls,mean",
        "model.special_tokens=[<extra_id_0>,<extra_id_1>]",
        "tokens=range(100,500,100)",
        "https://host:80/path 'a b' mail@host",
        "https://firstname_lastname_2024@host/x.git",
        "https://abcd1234efgh5678.host.org:443/x",
        "basic characteristics of Basic understanding1",
        "the bearer of this",
        "password=${oc.env:PW}",
        "my_tokens=[${oc.env:A},'${oc.env:B}']",
        "passwords={a:${oc.env:A}}",
        "storage=postgresql://u:${oc.env:PW}@host/db",
    ],
)
def test_no_secrets(text: str) -> None:
    assert mask(text) == text


def test_nested_values() -> None:
    config = {
        "logger": {"c": {"api_key": "abcd1234efgh", "token": "cls", "secret": None}},
        "data": {"password": 1234, "tokens": 5, "on": True},
        "overrides": ["a.password=x", "seed=1"],
    }
    assert mask(config) == {
        "logger": {"c": {"api_key": "***", "token": "cls", "secret": None}},
        "data": {"password": "***", "tokens": 5, "on": True},
        "overrides": ["a.password=***", "seed=1"],
    }
    assert not has_mask(config)


def test_values_below_names_of_several_secrets() -> None:
    config = {
        "tokens": {"hub": "abcd1234efgh", "n_tokens": 4, "more": {"x": ["abcd1234efgh", "cls"]}},
        "api_keys": ["abcd1234efgh", {"a": HEX}],
        "passwords": {"a": "x", "b": 1234, "name": None},
        "keys": {"a": "abcd1234efgh"},
        "n_tokens": 1000,
        "max_passwords": 3,
    }
    assert mask(config) == {
        "tokens": {"hub": "***", "n_tokens": 4, "more": {"x": ["***", "cls"]}},
        "api_keys": ["***", {"a": "***"}],
        "passwords": {"a": "***", "b": "***", "name": None},
        "keys": {"a": "abcd1234efgh"},
        "n_tokens": 1000,
        "max_passwords": 3,
    }


def test_our_own_configs_hold_no_secrets() -> None:
    for file in Path(config_dir()).rglob("*.yaml"):
        config = yaml.safe_load(file.read_text())
        assert mask(config) == config, file


def test_a_run_folder_holds_no_secrets_and_says_where_it_had_some(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run = RunFolder(tmp_path / "run")
        secret = {"logger": {"c": {"api_key": "abcd1234efgh"}}}
        run.create(secret, ["+logger.c.api_key=abcd1234efgh"], {"command": mask(["x", "pwd=a"])})
        run.update_facts(status="done")
        plain = RunFolder(tmp_path / "plain")
        plain.create({"seed": 0}, ["seed=0"], {"command": ["x"]})
    finally:
        os.umask(before)
    files = ("config.yaml", "overrides.yaml", "run.json")
    assert "abcd1234efgh" not in "".join((run.path / name).read_text() for name in files)
    assert run.read_config() == {"logger": {"c": {"api_key": "***"}}}
    assert run.read_overrides() == ["+logger.c.api_key=***"]
    assert json.loads((run.path / "run.json").read_text())["command"] == ["x", "pwd=***"]
    modes = [stat.S_IMODE((r.path / name).stat().st_mode) for r in (run, plain) for name in files]
    assert modes == [0o600] * 3 + [0o644] * 3


def test_a_private_file_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for _ in range(2):
        write_json(file, {"url": "postgresql://u:***@h/d"})
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert yaml.safe_load(file.read_text()) == {"url": "postgresql://u:***@h/d"}


STORED = "postgresql://user:***@host/db"
REAL = "postgresql://user:se@cret@host/db"


def test_the_password_of_a_storage_comes_from_the_environment(tmp_path: Path) -> None:
    assert real_storage("journal", {}) == "journal"
    assert real_storage("sqlite:////x.db", {"TROMPE_STORAGE": REAL}) == "sqlite:////x.db"
    assert real_storage(STORED, {"TROMPE_STORAGE": REAL}) == REAL
    assert real_storage(STORED, {"PGPASSWORD": "x"}) == "postgresql://user@host/db"
    (tmp_path / "pgpass").touch()
    given = {"PGPASSFILE": str(tmp_path / "pgpass")}
    assert real_storage(STORED, given) == "postgresql://user@host/db"


@pytest.mark.parametrize(
    ("stored", "environment", "said"),
    [
        (STORED, {}, "is not recorded: set TROMPE_STORAGE to the whole URL, or PGPASSWORD to"),
        ("mysql://u:***@h/d", {"PGPASSWORD": "x"}, "set TROMPE_STORAGE to the whole URL$"),
        (STORED, {"TROMPE_STORAGE": "postgresql://user:x@other/db"}, "is another storage than"),
    ],
)
def test_a_password_that_is_missing(stored: str, environment: dict, said: str) -> None:
    nowhere = {"PGPASSFILE": "/nowhere/pgpass", **environment}
    with pytest.raises(UserError, match=said) as error:
        real_storage(stored, nowhere)
    assert "x@" not in str(error.value)
