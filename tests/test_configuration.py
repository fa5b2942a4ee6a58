"""docs/configuration.md leaves no variable out, and no page names one that nobody reads."""

from __future__ import annotations

import re

from deploy.edge.process import variables
from tests.configuration_page import row
from tests.generated import ROOT


def test_setting__says_what_it_is_for() -> None:
    """Every setting has a sentence that says what it is for."""
    rows = [row(cls, name) for cls in variables.settings_classes().values() for name in cls.model_fields]

    assert [name for name, _, _, what in rows if not re.fullmatch(r"[A-Z].+\.", what)] == []


def test_page__names_only_variables_that_there_are() -> None:
    """A variable that a page or the README names is one that a process reads, or an example of a wrong one."""
    known = {variables.variable(name) for cls in variables.settings_classes().values() for name in cls.model_fields}
    named = {
        name
        for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"))
        for name in re.findall(r"\bMILLRACE_[A-Z_]+[A-Z]\b(?!_)", page.read_text())
    }

    assert named - known - variables.OTHERS.keys() == {"MILLRACE_ROUTR_PORT"}
