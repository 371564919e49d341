"""The audit's report as one HTML file with pictures in it, for the eyes of whoever owns the pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gad_core.audit.checks import matching
from gad_core.audit.findings import Finding
from gad_core.audit.report import Audit
from gad_core.explain.background import without_object
from gad_core.explain.changes import Change
from gad_core.explain.photometry import STATISTICS
from gad_core.files import replacing
from gad_core.outputs import writing

THUMBNAIL = 150
"""Side of the pictures in pixels."""

SHOWN = 4
"""Pictures in each group."""

COLOURS = {"training": "#4d4d4d", "normal test": "#0072b2", "anomalous test": "#d55e00"}
"""Of the groups of images; told apart by the colour-blind, and named beside each row of dots."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
h2 { border-top: 1px solid #ccc; padding-top: 1rem } h3 { margin-bottom: .2rem }
.flag { border-left: .4rem solid #d55e00; padding-left: .8rem } .fine { border-left: .4rem solid #0072b2;
padding-left: .8rem } .open { border-left: .4rem solid #999; padding-left: .8rem }
.row { display: flex; flex-wrap: wrap; gap: .6rem } figure { margin: 0; width: 150px }
figcaption { font-size: 12px; overflow-wrap: anywhere } img { display: block; max-width: 100% }
svg { max-width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif }
"""


def write_page(path: Path | None, audits: Sequence[Audit]) -> None:
    """Write the report of audits as HTML, if a file was asked for.

    The page loads nothing from anywhere: its pictures are small copies inside the file. They are pictures of
    the data set, with whatever licence that has.

    Parameters
    ----------
    path : pathlib.Path or None
        The file to write.
    audits : sequence of Audit
        One for each category.
    """
    if path is not None:
        with writing(path), replacing(path) as temporary:
            temporary.write_text("".join(_page(audits)), encoding="utf-8")


def _page(audits: Sequence[Audit]) -> Iterator[str]:
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>gad audit</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>What gives anomalies away beside the defect?</h1>\n"
    )
    for each in audits:
        yield from _category(each)
    yield "</body></html>\n"


def _category(found: Audit) -> Iterator[str]:
    data = found.subject.data
    yield f"<h2>{escape(data.category)}</h2>\n"
    yield f"<p>{len(data.train)} training and {len(data.test)} test images; "
    yield f"features of {escape(found.subject.extractor.backbone)}.</p>\n"
    for finding in found.findings:
        yield _finding(finding)
    for name in _worth_showing(found):
        yield from _statistic(found, STATISTICS.index(name))
    yield from _before_and_after(found)


def _finding(finding: Finding) -> str:
    style = {True: "flag", False: "fine", None: "open"}[finding.flagged]
    words = "".join(f"<p>{escape(sentence)}</p>" for sentence in finding.words)
    advice = f"<p><b>What to do:</b> {escape(finding.advice)}</p>" if finding.advice else ""
    return f'<div class="{style}"><h3>{escape(finding.check)} {finding.verdict}</h3>{words}{advice}</div>\n'


def _worth_showing(found: Audit) -> list[str]:
    """Statistics that were flagged, and brightness in any case."""
    flagged = {c.statistic for c in found.photometry.comparisons if c.flagged()}
    return [name for name in STATISTICS if name in flagged or name == "brightness"]


def _statistic(found: Audit, column: int) -> Iterator[str]:
    """Dots of all images, and the pictures with the smallest and largest values of each group."""
    data, photometry = found.subject.data, found.photometry
    labels = data.test.labels
    groups = {
        "training": (data.train.paths, photometry.train[:, column]),
        "normal test": ([data.test.paths[i] for i in np.flatnonzero(labels == 0)],
                        photometry.test[labels == 0, column]),
        "anomalous test": ([data.test.paths[i] for i in np.flatnonzero(labels == 1)],
                           photometry.test[labels == 1, column]),
    }  # fmt: skip
    yield f"<h3>{STATISTICS[column].capitalize()} of whole images</h3>\n"
    yield _strips({name: values for name, (_, values) in groups.items()})
    for name, (paths, values) in groups.items():
        order = np.argsort(values)
        half = SHOWN // 2
        ends = dict.fromkeys([*order[:half], *order[-half:]])
        yield f"<p>{name}, smallest and largest:</p>\n"
        yield _gallery(
            (found.subject.image(paths[i]), f"{paths[i].parent.name}/{paths[i].name}: {values[i]:.4g}")
            for i in ends
        )


def _before_and_after(found: Audit) -> Iterator[str]:
    """Show what the checks did to the pictures whose brightness is furthest from that in training."""
    subject, paths = found.subject, found.subject.data.test.paths
    brightness = found.photometry.test[:, STATISTICS.index("brightness")]
    distance = np.abs(brightness - np.mean(found.photometry.train[:, STATISTICS.index("brightness")]))
    chosen = [paths[i] for i in np.argsort(-distance)[:SHOWN]]
    match = found.photometry.rows[0]["matched"]
    changes: dict[str, Change] = {f"exposure made equal ({match})": matching(subject, match)}
    if found.region is not None:
        changes[f"{found.background[0]['region']} taken out"] = partial(without_object, region=found.region)
    yield "<h3>As they are</h3>\n"
    yield _gallery((subject.image(path), f"{path.parent.name}/{path.name}") for path in chosen)
    for name, change in changes.items():
        yield f"<h3>The same, {escape(name)}</h3>\n"
        yield _gallery((change(subject.image(path)), f"{path.parent.name}/{path.name}") for path in chosen)


def _strips(groups: dict[str, NDArray[np.float64]]) -> str:
    """Draw one row of dots for each group, on one axis."""
    low = min(values.min() for values in groups.values())
    high = max(values.max() for values in groups.values())
    scale = 560 / (high - low) if high > low else 0
    jitter = np.random.default_rng(0)
    parts = []
    for row, (name, values) in enumerate(groups.items()):
        y = 22 + 34 * row
        parts.append(f'<text x="0" y="{y + 4}">{name} ({len(values)})</text>')
        for value in values:
            x, dy = 150 + (value - low) * scale, jitter.uniform(-9, 9)
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y + dy:.1f}" r="2.5" fill="{COLOURS[name]}" opacity=".55"/>'
            )
    parts.append(
        f'<text x="150" y="118">{low:.4g}</text><text x="710" y="118" text-anchor="end">{high:.4g}</text>'
    )
    return f'<svg viewBox="0 0 730 124" width="730" role="img">{"".join(parts)}</svg>\n'


def _gallery(pictures: Iterable[tuple[NDArray[np.uint8], str]]) -> str:
    """Put small copies of pictures side by side, each with its caption."""
    figures = [
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{_encoded(image)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for image, caption in pictures
    ]
    return f'<div class="row">{"".join(figures)}</div>\n'


def _encoded(image: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
