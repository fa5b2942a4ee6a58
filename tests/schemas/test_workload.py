"""Mistakes in a workload file are reported with key, value and what is allowed."""

import pytest

from schemas.errors import WorkloadError
from schemas.workload import Workload

HEAD = b'name = "news"\nlabels = ["good", "bad"]\n'


def mistake(extra: bytes, head: bytes = HEAD) -> WorkloadError:
    with pytest.raises(WorkloadError) as caught:
        Workload.parse(head + extra, "news.toml")
    return caught.value


def test_typo_in_a_key__is_named_with_a_suggestion():
    """A misspelt key is reported with its place, its value, the nearest key and all allowed ones."""
    error = mistake(b"[window]\nquotas = 5\n")

    assert error.field == "news.toml: window.quotas"
    assert error.value == 5
    assert (
        error.remedy == "unknown key; did you mean 'quota'? allowed: rows, quota, source_rows, cluster_rows, age_days"
    )


def test_typo_in_a_table__is_named_with_a_suggestion():
    """A misspelt table is reported like a misspelt key."""
    assert "did you mean 'window'?" in str(mistake(b"[windows]\nrows = 5\n"))


def test_typo_under_a_source__is_named_with_a_suggestion():
    """A table that is named by the user is followed to the keys it may hold."""
    error = mistake(b'[privacy.sources.wire]\nkind = ["email"]\n')

    assert error.field == "news.toml: privacy.sources.wire.kind"
    assert error.remedy == "unknown key; did you mean 'kinds'? allowed: kinds, names"


@pytest.mark.parametrize(
    ("extra", "field", "says"),
    [
        (b'[window]\nrows = "many"\n', "window.rows", "valid integer"),
        (b"[window]\nrows = 0\n", "window.rows", "greater than 0"),
        (b"[rollout]\nsteps_percent = [5, 50]\n", "rollout.steps_percent", "end with 100"),
        (b"[splits]\ntest = 0.9\n", "splits", "leave at least 0.1"),
        (b'[request]\nprompt = "what?"\n', "request.prompt", "{text} exactly once"),
        (b'[definitions]\nugly = "x"\n', "", "which is not in labels"),
        (b'[aliases]\nGood = "bad"\n', "", "aliases must differ from labels"),
        (b"[audit]\nshare = 0.0\n", "audit.share", "greater than 0"),
        (b'[triggers]\nfreeze = ["someday"]\n', "triggers.freeze", "2026-12-20..2027-01-02"),
        (b'[triggers]\nrule = "weighted"\n', "triggers", "needed together"),
        (b"[triggers]\nweights = { count = 1.0 }\n", "triggers", "needed together"),
        (b'[triggers]\nrule = "weighted"\nweights = { age = 1.0 }\n', "triggers", "'age', which is off"),
        (b'[triggers]\nrule = "weighted"\nweights = { count = 0.9 }\n', "triggers", "add up to 0.9"),
        (b'[triggers]\nrule = "weighted"\nweights = { doubt = 1.0 }\n', "triggers.weights.doubt.[key]", "'label-mix'"),
        (b"[triggers]\nclass_counts = { ugly = 5 }\n", "", "triggers.class_counts names 'ugly'"),
        (b'[triggers]\nmode = "manual"\n', "triggers.mode", "'suggest' or 'auto'"),
        (b"[triggers]\nlabel_mix = -0.1\n", "triggers.label_mix", "greater than 0"),
        (b"[triggers.cost]\nrun = 5.0\n", "triggers.cost", "give all three or none"),
        (b'[privacy]\nkinds = ["mail"]\n', "privacy.kinds.0", "'email'"),
        (b'[privacy]\nkinds = ["name"]\n', "privacy.kinds", 'say names = "redact"'),
        (b"[select]\ntrain_share = 0.3\n", "select", 'say policy = "uniform"'),
        (b'[select]\npolicy = "active"\n', "select", "needs a train_share below 1"),
        (b'[select]\npolicy = "uniform"\nevaluation_share = 0\n', "select.evaluation_share", "greater than 0"),
        (b'[privacy.sources.wire]\nnames = "hide"\n', "privacy.sources.wire.names", "'keep' or 'redact'"),
    ],
)
def test_wrong_value__is_named(extra, field, says):
    """A value of the wrong type or outside its bounds is reported with its key and the bound."""
    error = mistake(extra)

    assert error.field == (f"news.toml: {field}" if field else "news.toml")
    assert says in error.remedy


@pytest.mark.parametrize("labels", ['["a"]', '["a", "A"]', '["a", " a "]', '["a", ""]', '["a", " "]'])
def test_labels__that_collide(labels):
    """Labels that an answer could not distinguish are refused."""
    assert "labels" in str(mistake(b"", f'name = "news"\nlabels = {labels}\n'.encode()))


@pytest.mark.parametrize("name", ["", "News", "a b", "-a", "a" * 64, "../x"])
def test_name__that_could_be_no_folder(name):
    """A name is a short lower-case word, so that it can be a key, a folder and a model name."""
    assert mistake(b"", f'name = "{name}"\nlabels = ["a", "b"]\n'.encode()).field == "news.toml: name"


@pytest.mark.parametrize("data", [b"name = ", b"\xff\xfe", b"= 1"])
def test_no_toml__is_told_with_the_file(data):
    """A file that is no TOML in UTF-8 is reported with its name."""
    assert mistake(b"", data).field == "news.toml"


def test_missing_key__is_told():
    """A file without labels says that labels are required."""
    error = mistake(b"", b'name = "news"\n')

    assert (error.field, error.remedy) == ("news.toml: labels", "is required")
