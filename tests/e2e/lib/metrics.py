# SPDX-License-Identifier: Apache-2.0
"""Figures in the text format of Prometheus."""

import re

_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="[^"\\]*",?)*)\})? (\S+)$')
_LABEL = re.compile(r'([a-z_]+)="([^"\\]*)"')


class Metrics:
    def __init__(self, text):
        self.text = text
        self._samples = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            match = _SAMPLE.match(line)
            assert match, line
            key = (match[1], frozenset(_LABEL.findall(match[2] or "")))
            assert key not in self._samples, f"twice: {line}"
            self._samples[key] = float(match[3])

    def names(self):
        return {name for name, _ in self._samples}

    def __call__(self, name, **labels):
        """The sum over all samples of @name that have these labels."""
        wanted = set(labels.items())
        values = [v for (n, have), v in self._samples.items() if n == name and wanted <= have]
        assert values, f"no {name} with {labels}"
        return sum(values)
