"""Validates the sets of a directory by their schemas, and the schemas by theirs, with jsonschema."""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator

count = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    if path.name == "manifest.json":
        continue
    content = json.loads(path.read_text())
    schema = json.loads((path.parent / content["$schema"]).read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(content)
    # They can fail.
    content["cases"][0]["expect"] = {"result": {"surely": "not"}}
    assert not Draft202012Validator(schema).is_valid(content), path
    count += 1
print(count)
