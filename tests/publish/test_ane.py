import pytest

from harness.publish.ane import MEANINGS, NO_ANE, NOT_ASKED, UNKNOWN, Ane, Tally, ane_supported, has_no_ane, whole

ON_ANE = {"preferred": "ane", "supported": ["cpu", "ane"]}
ABLE = {"preferred": "cpu", "supported": ["cpu", "ane"]}
ON_CPU = {"preferred": "cpu", "supported": ["cpu"]}


def tally(*entries):
    result = Tally()
    for entry in entries:
        result.add(entry)
    return result


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([ON_ANE, ON_ANE], "supported 2"),
        ([ON_ANE, ABLE], "supported 2, not placed 1"),
        ([ABLE], "supported 1, not placed 1"),
        ([ON_ANE, ON_CPU], "supported 1/2, not placed 1"),
        ([ON_CPU], "supported 0/1, not placed 1"),
        ([ON_ANE, None], "supported 1, unknown 1"),
        ([{"preferred": "cpu", "supported": []}], "supported 0/1, not placed 1"),
        ([None], ""),
        ([{"preferred": None, "supported": []}, {}], ""),
        ([], ""),
    ],
)
def test_a_tally_tells_supported_from_placed_and_from_unknown(entries, text):
    assert tally(*entries).text == text


@pytest.mark.parametrize(
    ("ane", "text"),
    [
        (Ane(), ""),
        (Ane(tally(ON_ANE), tally(ON_CPU)), "supported 1"),
        (Ane(tally(None), tally(ON_CPU)), "supported 0/1, not placed 1 (ordinary cases)"),
        (Ane(tally(None)), UNKNOWN),
        (Ane(ordinary=tally(None)), UNKNOWN),
        (Ane(absent=3), NO_ANE),
        (Ane(ordinary=tally(None), absent=3), UNKNOWN),
    ],
)
def test_attracting_cases_decide_and_others_are_said_to_be_weaker(ane, text):
    assert ane.text == text
    assert bool(ane) is bool(text)


def test_tallies_add_up():
    both = Ane(tally(ON_ANE), tally(ON_CPU), 1) + Ane(tally(ABLE, None), tally(None), 2)
    assert (both.attracting, both.ordinary, both.absent) == (tally(ON_ANE, ABLE, None), tally(ON_CPU, None), 3)


@pytest.mark.parametrize(
    ("unit", "devices", "absent"),
    [
        ("all", ["cpu", "gpu"], True),
        ("cpu_and_ne", ["cpu"], True),
        ("executorch", ["cpu", "gpu"], True),
        ("all", ["cpu", "gpu", "ane"], False),
        ("all", ["CPU", "ANE"], False),
        ("all", [], False),  # it cannot tell
        ("cpu_and_gpu", ["cpu", "gpu"], False),  # not asked for
        ("device:Test iPhone", ["cpu", "gpu"], False),  # the devices are those of the Mac
    ],
)
def test_a_machine_without_ane(unit, devices, absent):
    assert has_no_ane(unit, {"devices": devices}) is absent
    assert not has_no_ane(unit, None)


@pytest.mark.parametrize(
    ("aten", "mil", "expected"),
    [
        ({"a": ON_ANE, "b": ABLE}, {"cast": ON_CPU}, ABLE),
        ({"a": ON_ANE, "b": ON_CPU}, {}, ON_CPU),
        ({}, {"gelu": ON_ANE}, ON_ANE),
        ({}, {"gelu": ON_ANE, "cast": ON_CPU}, ON_CPU),
        ({}, {"gelu": {"preferred": None, "supported": []}}, None),
        ({}, {}, None),
    ],
)
def test_a_program_is_where_all_of_it_is(record, aten, mil, expected):
    found = whole(record(aten_placement=aten, placement=mil))
    assert found == (expected and {**expected, "supported": sorted(expected["supported"])})
    assert ane_supported(record(aten_placement=aten, placement=mil)) is (expected and "ane" in expected["supported"])


def test_every_word_of_the_column_is_explained():
    explained = " ".join(MEANINGS)
    for word in ("supported", "not placed", "ordinary cases", UNKNOWN, NO_ANE, NOT_ASKED):
        assert word in explained
