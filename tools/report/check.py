#!/usr/bin/env python3
"""Opens a report in Chromium, without a window, and looks at what the browser makes of it.

    python3 tools/report/check.py [report.html] [screenshot.png]

Without a report, a test writes one. The picture is for people to look at; what is checked is that the page needs nothing from
anywhere else, that every chart has a size and is within the page, and that the numbers in it are those that are drawn last.
"""

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile


class Page(html.parser.HTMLParser):
    """Counts elements, and gathers the record."""

    def __init__(self):
        super().__init__()
        self.count, self.record, self.within = {}, "", False

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.within = tag == "script"
        for name, value in attributes:
            assert name not in ("src", "href") or tag == "a", f"{tag} needs {value}"

    def handle_endtag(self, tag):
        self.within = self.within and tag != "script"

    def handle_data(self, data):
        if self.within:
            self.record += data


def chromium(*arguments):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "no Chromium: `apt-get install chromium`"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1240,3800"]
    return subprocess.run([browser, *options, *arguments], check=True, capture_output=True, text=True, timeout=120).stdout


def main():
    with tempfile.TemporaryDirectory() as folder:
        report = sys.argv[1] if len(sys.argv) > 1 else os.path.join(folder, "report.html")
        picture = sys.argv[2] if len(sys.argv) > 2 else os.path.join(folder, "report.png")
        if len(sys.argv) < 2:
            command = ["cargo", "test", "--workspace", "--test", "watch", "the_page_shows"]
            subprocess.run(command, check=True, env={**os.environ, "BETTY_REPORT": report}, stdout=subprocess.DEVNULL)
        address = "file://" + os.path.abspath(report)
        page = Page()
        page.feed(chromium("--dump-dom", address))
        record = json.loads(page.record)
        curves = len(record["series"])
        charts = page.count["svg"] - 1
        assert charts >= 3, page.count
        assert curves >= charts, (curves, charts)
        # The browser measures the page itself: a copy with a script that writes what it finds into the title.
        probe = os.path.join(folder, "probe.html")
        measure = """<script>document.title = JSON.stringify([...document.querySelectorAll('svg')].map(svg => {
            const box = svg.getBoundingClientRect(); return [box.width, box.height, box.left, box.right, innerWidth]; }));</script>"""
        with open(report) as source, open(probe, "w") as target:
            target.write(source.read().replace("</body>", measure + "</body>"))
        measured = re.search(r"<title>(\[.*?\])</title>", chromium("--dump-dom", "file://" + probe)).group(1)
        for width, height, left, right, within in json.loads(measured):
            assert width > 100 and height > 40 and left >= 0 and right <= within, (width, height, left, right, within)
        chromium(f"--screenshot={picture}", address)
        size = os.path.getsize(picture)
        assert size > 20_000, f"the picture has {size} bytes"
        print(f"{charts} charts of {curves} curves, {len(record['warnings'])} warnings; the picture has {size} bytes")


if __name__ == "__main__":
    sys.exit(main())
