#!/usr/bin/env python3
"""Makes betty-examples/data/reviews.tsv.gz and lexicon.tsv.gz of the source distribution of vaderSentiment 3.3.2.

    pip download --no-deps --no-binary vaderSentiment vaderSentiment==3.3.2
    tools/reviews/make.py vaderSentiment-3.3.2.tar.gz betty-examples/data

Sentences of film reviews that twenty people did not find neutral on average (a mean rating of 0.5 or more to either side, on a scale
from -4 to 4), in lower case, as words that are separated by blanks; and those words of the lexicon that occur in them.
"""

import gzip
import io
import re
import sys
import tarfile

archive, folder = sys.argv[1:]
with tarfile.open(archive) as source:
    root = "vaderSentiment-3.3.2"
    lexicon = source.extractfile(f"{root}/vaderSentiment/vader_lexicon.txt").read().decode()
    inner = source.extractfile(f"{root}/additional_resources/hutto_ICWSM_2014.tar.gz").read()
with tarfile.open(fileobj=io.BytesIO(inner)) as source:
    name = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    sentences = source.extractfile(name).read().decode(errors="replace")

rated = {}
for line in lexicon.splitlines():
    word, mean = line.split("\t")[:2]
    rated.setdefault(word.lower(), float(mean))

rows, seen = [], set()
for line in sentences.splitlines():
    _, mean, text = line.split("\t", 2)
    words = re.findall(r"[a-z']+|[!?]", text.lower())
    if abs(float(mean)) >= 0.5 and words:
        rows.append(f"{float(mean):.1f}\t{' '.join(words)}\n")
        seen.update(words)


def write(file, text):
    # No name and no time in the header, so that equal content is an equal file.
    with open(f"{folder}/{file}", "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(text.encode())


write("reviews.tsv.gz", "".join(rows))
write("lexicon.tsv.gz", "".join(f"{word}\t{rated[word]:.1f}\n" for word in sorted(seen & rated.keys())))
print(len(rows), "sentences,", len(seen & rated.keys()), "words of the lexicon")
