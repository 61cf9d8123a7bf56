"""What the model renders is what docs/openapi.yaml describes: no other type, no field more."""
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

HERE = Path(__file__).parent
DOCUMENT = yaml.safe_load((HERE.parents[1] / "docs" / "openapi.yaml").read_text())
SCHEMAS = {"guest": "Guest", "node": "Node", "slots": "Slots"}
GOLDEN = sorted((HERE / "golden").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_file_is_valid_and_documented(path):
    shown = json.loads(path.read_text())
    name = SCHEMAS[path.stem.split("-")[0]]
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(shown)
    assert set(shown) <= set(DOCUMENT["components"]["schemas"][name]["properties"])
