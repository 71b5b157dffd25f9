"""How long `modelgrid check` takes beside what it cannot do without: `python -c "import pydantic, yaml"`.

    python benchmarks/check.py [RUNS]

Both run in this interpreter, in turns, so that a busy machine slows both. Prints the least and the median time of
each in milliseconds, and their ratios. One class of pydantic alone takes about 1.8 times the
imports; the aim is a ratio of 2.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    'python -c "import pydantic, yaml"': ["-c", "import pydantic, yaml"],
    "modelgrid check examples/demo/modelgrid.yaml": ["-m", "modelgrid", "check", "examples/demo/modelgrid.yaml"],
}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(runs + 1):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
            if number:  # the first run fills the caches of files and bytecode
                times[name].append((time.perf_counter() - start) * 1000)
    for name, taken in times.items():
        print(f"{min(taken):7.1f} ms least {statistics.median(taken):7.1f} ms median  {name}")
    base, check = times.values()
    print(f"ratio {min(check) / min(base):.2f} least, {statistics.median(check) / statistics.median(base):.2f} median")


if __name__ == "__main__":
    main()
