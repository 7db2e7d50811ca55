"""Which version servers take, after a rollback and another."""

import pytest
from click.testing import CliRunner

from pipelines import cli
from pipelines.history import rollback


@pytest.fixture
def root(tmp_path):
    for version in (11, 12, 13):
        (tmp_path / "serving" / "lenet" / str(version)).mkdir(parents=True)
    return tmp_path


def names(root):
    return sorted(path.name for path in (root / "serving" / "lenet").iterdir())


def test_back_to_the_one_before_and_once_more(root):
    assert rollback.go_to(root, "lenet") == (13, 12)
    assert rollback.go_to(root, "lenet") == (12, 11)
    assert names(root) == [".12", ".13", "11"]
    assert rollback.states(root, "lenet") == {
        "11": "served",
        "12": "taken back",
        "13": "taken back",
    }
    with pytest.raises(ValueError, match="no version of lenet before 11"):
        rollback.go_to(root, "lenet")


def test_to_a_version_and_forward_again(root):
    assert rollback.go_to(root, "lenet", 11) == (13, 11)
    assert rollback.go_to(root, "lenet", 13) == (11, 13)
    assert names(root) == [".12", "11", "13"]
    assert rollback.go_to(root, "lenet", 13) == (13, 13)
    assert rollback.go_to(root, "lenet") == (13, 11)


def test_no_server_sees_a_version_between(root, monkeypatch):
    seen = []
    real = rollback.os.rename

    def rename(old, new):
        real(old, new)
        there = [int(path.name) for path in (root / "serving" / "lenet").glob("[0-9]*")]
        seen.append(max(there))

    monkeypatch.setattr(rollback.os, "rename", rename)
    rollback.go_to(root, "lenet", 11)
    assert seen == [13, 11]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["lenet", "12345"], "11, 12, 13"), (["vgg16"], "no version of a model 'vgg16'")],
)
def test_what_is_not_there_is_named(root, arguments, message):
    result = CliRunner().invoke(cli.main, ["rollback", *arguments, "--root", str(root)])
    assert result.exit_code == 1
    assert message in result.output
    assert names(root) == ["11", "12", "13"]


def test_the_command_says_what_it_did(root):
    result = CliRunner().invoke(cli.main, ["rollback", "lenet", "--root", str(root)])
    assert result.output == "lenet: 12 is served, 13 was\n"
