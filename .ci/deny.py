"""The part of `cargo deny check` that `cargo metadata` can answer: licences, registries and duplicates, by deny.toml."""

import json
import re
import subprocess
import sys
import tomllib


def is_allowed(expression, licences):
    """Whether an SPDX expression can be met by `licences`. `/` is an old way to write OR."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    place = 0

    def either():
        nonlocal place
        met = both()
        while words[place : place + 1] == ["OR"]:
            place += 1
            met = both() or met
        return met

    def both():
        nonlocal place
        met = one()
        while words[place : place + 1] == ["AND"]:
            place += 1
            met = one() and met
        return met

    def one():
        nonlocal place
        word = words[place]
        place += 1
        if word == "(":
            met = either()
            place += 1
            return met
        if words[place : place + 1] == ["WITH"]:
            word += " WITH " + words[place + 1]
            place += 2
        return word in licences

    return either()


def main():
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    for target in rules["graph"]["targets"]:
        command += ["--filter-platform", target]
    packages = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    licences = set(rules["licenses"]["allow"])
    registries = {f"registry+{it}" for it in rules["sources"]["allow-registry"]}
    skipped = {tuple(it["crate"].split("@")) for it in rules["bans"]["skip"]}
    wrong, versions = [], {}
    for package in packages:
        name, version, licence = package["name"], package["version"], package["license"]
        versions.setdefault(name, set()).add(version)
        if not licence or not is_allowed(licence, licences):
            wrong.append(f"{name} {version}: the licence `{licence}` is not in licenses.allow")
        if package["source"] and package["source"] not in registries:
            wrong.append(f"{name} {version}: {package['source']} is not in sources.allow-registry")
    for name, several in sorted(versions.items()):
        named = {of for crate, of in skipped if crate == name}
        if len(several - named) > 1:
            found = " and ".join(sorted(several))
            wrong.append(f"{name}: {found} are in the tree; update one, or name the older in bans.skip, with a reason")
        wrong += [f"{name} {of}: in bans.skip, and not in the tree" for of in named - several]
    wrong += [f"{name} {of}: in bans.skip, and not in the tree" for name, of in skipped if name not in versions]
    print("\n".join(wrong) or f"{len(packages)} packages: licences, registries and duplicates are as deny.toml says")
    sys.exit(bool(wrong))


main()
