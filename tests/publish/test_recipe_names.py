import pytest

from harness.publish.recipe_names import RecipeName, parse_recipe


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fp16-ios18", RecipeName("fp16", "ios18", "")),
        ("fp16-ios17-pt2e-int8", RecipeName("fp16", "ios17", "pt2e-int8")),
    ],
)
def test_parse_recipe(text, name):
    assert parse_recipe(text) == name
