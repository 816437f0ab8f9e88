"""What ``hilum models`` does: list, add, allow, verify and remove models."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segmentation.bundles import download, store
from segmentation.bundles.folder import Bundle, BundleError, read_bundle
from segmentation.models import Listed, ModelCard, find_model, known_models
from workstation.console import Work

DONE, DIFFERENCE = 0, 3
SHOWN = 6  # labels of a model in one line


def main(options: argparse.Namespace, work: Work) -> int:
    """Do what ``options`` ask; return the exit code."""
    return ACTIONS[options.action](options, work)


def _list(options: argparse.Namespace, work: Work) -> int:
    listed = work("Models", lambda progress: known_models())
    records = [_record(entry) for entry in listed]
    lines = [line for entry in listed for line in _lines(entry)]
    _print(options, {"folder": str(store.models_folder()), "models": records}, lines)
    return DONE


def _record(entry: Listed) -> dict[str, Any]:
    if entry.card is None:
        return {"name": entry.name, "problem": entry.problem}
    return entry.card.to_json() | {"problem": ""}


def _lines(entry: Listed) -> list[str]:
    if entry.card is None:
        return [f"{entry.name:32} cannot be used: {entry.problem}"]
    return card_lines(entry.card)


def card_lines(card: ModelCard) -> list[str]:
    """Return a model's card as text, a line each."""
    names = [label.name for label in card.labels.values()]
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    lines = [
        f"{card.name:32} {card.title} {card.version} ({card.kind})",
        f"    takes {', '.join(card.channels)} ({card.modality or 'modality not stated'})",
        f"    labels {', '.join(names[:SHOWN]) or 'not named'}{more}",
        f"    licence {card.licence or 'not stated'}; weights {card.weights_sha256[:16] or '-'}",
    ]
    if card.intended_use:
        lines.append(f"    {card.intended_use}")
    if card.code:
        state = "allowed" if card.allowed else f"not allowed; hilum models allow {card.name}"
        lines.append(f"    carries code ({state}): {'; '.join(card.code[:3])}")
    return lines


def _add(options: argparse.Namespace, work: Work) -> int:
    bundle: Bundle = work("Add", lambda progress: _fetched(options, progress))
    return _print_card(options, bundle.name)


def _print_card(options: argparse.Namespace, name: str) -> int:
    card = find_model(name).card
    _print(options, card.to_json(), card_lines(card))
    return DONE


def _fetched(options: argparse.Namespace, progress: Any) -> Bundle:
    source, index = options.source, options.index or download.ZOO
    if source.startswith("zoo:"):
        return download.add_from_zoo(source.removeprefix("zoo:"), options.name, index, progress)
    if source.startswith(("https://", "http://")):
        return download.add_from_url(source, options.sha256, options.name, progress)
    path = Path(source)
    if not path.exists():
        raise BundleError(f"{source} is not there", "For the Model Zoo write zoo:NAME")
    return store.add_bundle(path, "", options.name, progress)


def _zoo(options: argparse.Namespace, work: Work) -> int:
    index = options.index or download.ZOO
    entries = work("Model Zoo", lambda progress: download.zoo_entries(index, progress)).values()
    _print(
        options,
        {"bundles": [vars(entry) for entry in entries]},
        [f"{entry.name:48} {entry.version}" for entry in entries],
    )
    return DONE


def _allow(options: argparse.Namespace, work: Work) -> int:
    store.allow(options.name, code=True, pickles=options.old_weights)
    return _print_card(options, options.name)


def _verify(options: argparse.Namespace, work: Work) -> int:
    names = options.names or [folder.name for folder in store.user_bundles()]
    records = work("Verify", lambda progress: [_verified(name) for name in names])
    lines = [f"{r['name']:32} {', '.join(r['changed']) or 'as it was added'}" for r in records]
    _print(options, {"models": records}, lines)
    return DIFFERENCE if any(record["changed"] for record in records) else DONE


def _verified(name: str) -> dict[str, Any]:
    store.installed(name)
    bundle = read_bundle(store.models_folder() / name)
    changed = [f"{what} changed" for what in store.changed_since_added(bundle)]
    return {"name": name, "weights_sha256": bundle.weights_sha256, "changed": changed}


def _remove(options: argparse.Namespace, work: Work) -> int:
    store.remove_bundle(options.name)
    _print(options, {"removed": options.name}, [f"{options.name} was removed"])
    return DONE


def _print(options: argparse.Namespace, document: Mapping[str, Any], lines: list[str]) -> None:
    if options.json:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
    else:
        print(*lines, sep="\n")


ACTIONS: Mapping[str, Callable[[argparse.Namespace, Work], int]] = {
    "list": _list,
    "add": _add,
    "zoo": _zoo,
    "allow": _allow,
    "verify": _verify,
    "remove": _remove,
}
