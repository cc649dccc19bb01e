"""``python -m dovetail.demo``: what ``dovetail demo`` does."""

from __future__ import annotations

import sys

from dovetail.cli.main import main

if __name__ == "__main__":
    main(["demo", *sys.argv[1:]])
