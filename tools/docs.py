"""Holds the pages for people against the tree: links lead somewhere, commands that are shown exist,
docs/openapi.yaml is whole."""
import pathlib
import re
import subprocess
import sys

import yaml

LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)[^)]*\)")
COMMAND = re.compile(r"\./dev ([a-z]+)")


def tracked(pattern):
    return subprocess.run(["git", "ls-files", pattern], capture_output=True, text=True,
                          check=True).stdout.split()


def dead_links(page, text):
    for target in LINK.findall(text):
        if "://" not in target and not (pathlib.Path(page).parent / target).exists():
            yield f"{page}: links to {target}, which is not there"


def unknown_commands(page, text, known):
    for command in COMMAND.findall(text):
        if command not in known:
            yield f"{page}: shows ./dev {command}, which does not exist"


def dangling_references(document, node, path="#"):
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and not resolves(document, target):
            yield f"docs/openapi.yaml: {path} refers to {target}, which is not there"
        for key, value in node.items():
            yield from dangling_references(document, value, f"{path}/{key}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from dangling_references(document, value, f"{path}/{i}")


def resolves(document, reference):
    node = document
    for key in reference.removeprefix("#/").split("/"):
        node = node.get(key.replace("~1", "/")) if isinstance(node, dict) else None
    return node is not None


def main():
    commands = set(re.findall(r"\[([a-z]+)\]=", pathlib.Path("dev").read_text()))
    found = []
    for page in tracked("*.md"):
        text = pathlib.Path(page).read_text()
        found += dead_links(page, text)
        found += unknown_commands(page, text, commands)
    api = pathlib.Path("docs/openapi.yaml")
    if api.exists():
        document = yaml.safe_load(api.read_text())
        found += dangling_references(document, document)
    print("\n".join(found) or "the pages are true as far as a program can tell")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
