# SPDX-License-Identifier: Apache-2.0
"""The byte stream from the guest's init: output with marks in it, see guest/init. Pure, no I/O."""


class Stream:
    """Splits the stream into output, marks and, after the "exit" mark, an archive.

    A mark carries a nonce that only init knows, so no output can be mistaken for one, and both
    travel through one port: when the exit mark is here, all output is.
    """

    def __init__(self, nonce):
        self.prefix = b"\0vmtest-" + nonce.encode() + b" "
        self.pending = b""
        self.ready = None  # words of the "ready" mark: kernel release, uptime
        self.status = None  # the command's exit status
        self.archive = bytearray()
        self.archive_size = None

    @property
    def complete(self):
        return self.archive_size is not None and len(self.archive) >= self.archive_size

    def feed(self, received):
        """Take bytes as they come; returns those that are the command's output."""
        output = b""
        data = self.pending + received
        self.pending = b""
        while data:
            if self.archive_size is not None:
                self.archive += data[: self.archive_size - len(self.archive)]
                break
            at = data.find(self.prefix)
            end = data.find(b"\n", at)
            if at < 0:
                keep = self._possible_start(data)
                output += data[: len(data) - keep]
                self.pending = data[len(data) - keep :]
                break
            output += data[:at]
            if end < 0:
                self.pending = data[at:]
                break
            self._mark(data[at + len(self.prefix) : end].decode().split())
            data = data[end + 1 :]
        return output

    def finish(self):
        """The stream is over: what was held back as the possible start of a mark."""
        rest, self.pending = self.pending, b""
        return rest

    def _possible_start(self, data):
        """Length of the longest end of `data` that is a beginning of the prefix."""
        for length in range(min(len(self.prefix) - 1, len(data)), 0, -1):
            if data.endswith(self.prefix[:length]):
                return length
        return 0

    def _mark(self, words):
        if words[0] == "ready":
            self.ready = words[1:]
        elif words[0] == "exit":
            self.status = int(words[1])
            self.archive_size = int(words[2])
