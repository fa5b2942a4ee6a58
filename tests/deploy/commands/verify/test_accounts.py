"""The accounts on paper: each fault is seen, counted and named."""

from __future__ import annotations

from deploy.commands.verify.accounts import Account, Ending, account

INPUTS = {(0, offset): "news" for offset in range(5)}
ENDINGS = [Ending("curated", (0, offset), "news", f"id-{offset}") for offset in range(4)]
KNOWN = {f"id-{offset}" for offset in range(4)}


def counted(endings: list[Ending], **changes: object) -> Account:
    arguments: dict[str, object] = {"inputs": INPUTS, "committed": {0: 4}, "begins": {}, "known": KNOWN}
    return account("curate", endings=endings, **(arguments | changes))  # type: ignore[arg-type]


def test_account__of_a_sound_stage__has_no_residual() -> None:
    """Each input below the committed offset ends once; what is at or above it is in flight."""
    found = counted(ENDINGS)

    assert (found.inputs, found.in_flight, found.residual, found.ended) == (5, 1, 0, {"curated": 4})


def test_account__with_an_output_removed__names_the_missing_input() -> None:
    """A lost record is found by its place."""
    found = counted(ENDINGS[:2] + ENDINGS[3:])

    assert (found.residual, found.first_offence("traffic")) == (1, "missing: traffic/0 at offset 2")


def test_account__with_an_output_doubled__names_the_doubled_input() -> None:
    """A record that ended twice is found, also where the two endings are of different kinds."""
    found = counted([*ENDINGS, Ending("dead-letters", (0, 1), None)])

    assert (found.residual, found.first_offence("traffic")) == (1, "doubled: traffic/0 at offset 1")


def test_account__with_a_duplicate_of_nothing__names_it() -> None:
    """A duplicate must name a record that exists."""
    found = counted([*ENDINGS[:3], Ending("discarded", (0, 3), "news", "id-3", "id-9")])

    assert found.residual == 1
    assert found.first_offence("traffic") == "dangling: traffic/0 at offset 3 duplicates id-9, which is not in curated"


def test_account__where_retention_took_records__does_not_call_them_missing() -> None:
    """What is no longer kept cannot be counted, on either side."""
    found = counted(ENDINGS[2:], begins={0: 2}, known=set(), curtailed={0})

    assert (found.inputs, found.residual) == (3, 0)


def test_account__of_one_workload__leaves_the_others_out() -> None:
    """`--workload` narrows inputs and endings alike."""
    inputs = INPUTS | {(0, 3): "other"}
    endings = [*ENDINGS[:3], Ending("curated", (0, 3), "other", "id-3"), Ending("curated", (0, 3), "other", "id-3")]
    found = counted(endings, inputs=inputs, workload="news")

    assert (found.inputs, found.in_flight, found.residual) == (4, 1, 0)


def test_account__with_repeated_content__is_red_and_names_it() -> None:
    """Content that was there before and was taken for new is an offence of its own."""
    found = counted(ENDINGS)
    found.repeated.append(((0, 3), "the text of the record at 0:1"))

    assert found.residual == 1
    assert found.first_offence("traffic") == (
        "repeated: traffic/0 at offset 3 has the text of the record at 0:1 and was taken for new"
    )


def test_account__where_retention_took_records_of_one_partition__still_looks_at_the_others() -> None:
    """A name that is not there says nothing where some are gone, and everything where none are."""
    endings = [Ending("discarded", (0, 0), "news", "a", "gone"), Ending("discarded", (1, 0), "news", "b", "gone")]

    assert counted(endings, curtailed={0}).dangling == [((1, 0), "gone")]
