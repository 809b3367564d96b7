"""Uses the CPU in many functions of the standard library, in four threads: workload_library.py SECONDS, of CPU time."""

import ast
import decimal
import difflib
import glob
import io
import json
import os
import pprint
import random
import sys
import textwrap
import threading
import time
import tokenize

FILES = sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), "*.py")))
WORKS = [
    lambda text: list(tokenize.generate_tokens(io.StringIO(text).readline)),
    lambda text: ast.dump(ast.parse(text)),
    lambda text: json.loads(json.dumps(text.split("\n"), indent=1)),
    lambda text: pprint.pformat(text.split("\n")[:300]),
    lambda text: textwrap.fill(text[:4000]),
    lambda text: sum(decimal.Decimal(number) / 7 for number in range(300)),
    lambda text: list(difflib.unified_diff(text.split("\n")[:150], text.split("\n")[3:160])),
]


def work(seed):
    chosen = random.Random(seed)
    while time.process_time() < float(sys.argv[1]):
        with open(chosen.choice(FILES), encoding="utf-8", errors="replace") as file:
            text = file.read()[:40000]
        try:
            chosen.choice(WORKS)(text)
        except (SyntaxError, tokenize.TokenError):
            pass  # a text that was cut


threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
