# SPDX-License-Identifier: Apache-2.0
"""
What a terminal shows: as much of a VT100 (TERM=vt100) as curses uses for a program that does not
scroll. What is not known here fails the test, instead of a screen that is not what it seems.
"""

import codecs
import re

TERM = "vt100"

_CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b([()][0-9A-B]|[=>78])|([\x0e\x0f])")


class Screen:
    def __init__(self, columns, rows):
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.rest = ""
        self.resize(columns, rows)

    def resize(self, columns, rows):
        """
        The program draws everything anew when it is told. What it has written before that is for
        the size before: it goes, like on any terminal, no further than to the margins.
        """
        self.columns, self.n_rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.reversed = [[False] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.is_reversed = False
        self.is_stale = True

    def rows(self):
        return ["".join(row).rstrip() for row in self.cells]

    def reversed_rows(self):
        """Of those that are reversed from the first place on."""
        return [row for row, marks in zip(self.rows(), self.reversed) if marks[0]]

    def feed(self, data):
        text = self.rest + self.decoder.decode(data)
        at = 0
        while at < len(text):
            match = _CONTROL.match(text, at)
            if match:
                if match[2]:
                    self._control(match[1], match[2])
                at = match.end()
            elif text[at] == "\x1b":
                if len(text) - at > 20:
                    raise AssertionError(f"unknown to this screen: {text[at:at + 20]!r}")
                break  # the rest of it comes later
            else:
                self._character(text[at])
                at += 1
        self.rest = text[at:]

    def _character(self, character):
        if character == "\r":
            self.x = 0
        elif character == "\n":
            self.y = self._within(self.n_rows, self.y + 1, "it scrolls")
        elif character == "\b":
            self.x = max(self.x - 1, 0)
        elif character >= " ":
            # Behind the last place the next one is written only where it is asked to be.
            x = min(self.x, self.columns - 1)
            self.cells[self.y][x] = character
            self.reversed[self.y][x] = self.is_reversed
            self.x = x + 1
        else:
            raise AssertionError(f"unknown to this screen: {character!r}")

    def _within(self, size, at, what):
        """Only what was written for another size may try to leave the margins."""
        assert self.is_stale or 0 <= at < size, what
        return min(max(at, 0), size - 1)

    def _clear(self, y, begin, end):
        for x in range(begin, end):
            self.cells[y][x] = " "
            self.reversed[y][x] = False

    def _control(self, parameters, final):
        numbers = [int(n or 0) for n in parameters.lstrip("?").split(";")]
        first = max(numbers[0], 1)
        if final in "Hf":
            column = max(numbers[1], 1) if len(numbers) > 1 else 1
            self.y = self._within(self.n_rows, first - 1, parameters)
            self.x = self._within(self.columns, column - 1, parameters)
        elif final in "AB":
            y = self.y - first if final == "A" else self.y + first
            self.y = self._within(self.n_rows, y, parameters + final)
        elif final in "CD":
            x = self.x - first if final == "D" else self.x + first
            self.x = self._within(self.columns, x, parameters + final)
        elif final == "K":
            x = min(self.x, self.columns - 1)
            self._clear(self.y, 0 if numbers[0] else x, x + 1 if numbers[0] == 1 else self.columns)
        elif final == "J":
            begin = 0 if numbers[0] == 2 else self.y
            if numbers[0] == 2 or self.x == self.y == 0:
                self.is_stale = False  # from here on it is drawn anew
            for y in range(begin, self.n_rows):
                self._clear(y, self.x if y == self.y and numbers[0] != 2 else 0, self.columns)
        elif final == "m":
            for number in numbers:
                self.is_reversed = number == 7 or (self.is_reversed and number not in (0, 27))
        elif final not in "hlr":
            raise AssertionError(f"unknown to this screen: {parameters}{final}")
