"""Prints what the rules miss and what they take too much, for each half of the corpus.

python -m tests.exporter.instrument.pii [--all]; --all prints lines of the other half too: not for tuning on.
"""

import sys

from exporter.instrument.pii import Scrubber
from tests.exporter.instrument.pii.cases import HALVES, cases, table, tried

print(table())
for half in HALVES if "--all" in sys.argv else HALVES[:1]:
    for kind in ("positives", "negatives"):
        for found in tried(Scrubber(), cases(half, kind)):
            if not found.right:
                print(f"\n{half} {kind}\n    {found.case.text!r}\n    {found.got!r}")
