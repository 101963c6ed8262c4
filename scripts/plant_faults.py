"""Plant faults in a copy of the code, one at a time, and see that `make test-fast` catches each: does the suite bite?

    python scripts/plant_faults.py                 all faults; writes docs/proof-faults.md; exit code 1 if one survives
    python scripts/plant_faults.py --only NAME ... some of them; prints the table, writes nothing
    python scripts/plant_faults.py --list          the faults, and whether their texts are still in the code
    python scripts/plant_faults.py --check         only that, as `make check` does

The faults are data: scripts/faults.toml. Each replaces a text that must occur exactly once, so they follow the code or
fail loudly. A test run stops at its first failing test, which is named in the table.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
FAULTS = Path(__file__).with_name("faults.toml")
PAGE = ROOT / "docs" / "proof-faults.md"

# The tests of `make test-fast`, in an order that is always the same, and in which a hundred runs take no day.
COMMAND = [
    "-m",
    "pytest",
    "-q",
    "--exitfirst",
    "--hypothesis-profile=fast",
    "-m",
    "not slow and not long",
    "-p",
    "no:randomly",
]
ORDER = ["-p", "plant_faults_order"]
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    name: str
    file: str
    old: str
    new: str
    rule: str
    near: tuple[str, ...] = ()  # of the tests, those that are run first: if they catch it, all of them would


@dataclass(frozen=True)
class Verdict:
    fault: Fault
    caught: bool
    by: str  # the test, or what happened instead
    seconds: float


def read_faults():
    faults = [Fault(**entry) for entry in tomllib.loads(FAULTS.read_text(encoding="utf-8"))["fault"]]
    names = [fault.name for fault in faults]
    if len(set(names)) < len(names):
        sys.exit("two faults have one name: " + ", ".join(sorted({n for n in names if names.count(n) > 1})))
    return faults


def misplaced(faults, root):
    """Say which faults do not fit the code any more."""
    wrong = []
    for fault in faults:
        path = root / fault.file
        count = path.read_text(encoding="utf-8").count(fault.old) if path.exists() else 0
        if count != 1:
            wrong.append(f"{fault.name}: its text occurs {count} times in {fault.file}, not once")
        elif fault.old == fault.new:
            wrong.append(f"{fault.name}: it changes nothing")
    return wrong


def copy_of_the_code(folder):
    """Copy what git tracks or would track, as it stands."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return folder


def environment(copy):
    path = os.pathsep.join((str(copy / "src"), str(copy / "scripts")))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": path}  # a run takes seconds: no two versions of a file have one time


def check_that_the_copy_is_tested(copy):
    code = "import asof; print(asof.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, env=environment(copy), check=True, capture_output=True, text=True
    )
    if not Path(done.stdout.strip()).is_relative_to(copy):
        sys.exit(f"the tests would run against {done.stdout.strip()}, not against the copy")


def tested(copy, limit, near):
    """Run the tests of a copy, or those near; return (exit code or None after the limit, output, seconds)."""
    for leftover in (".hypothesis", ".pytest_cache"):  # what an earlier fault taught must not help with this one
        shutil.rmtree(copy / leftover, ignore_errors=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *COMMAND, *ORDER, *near],
        cwd=copy,
        env=environment(copy),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        code = None
    return code, output, time.perf_counter() - started


def checked_sound(copy, faults):
    """Return how many seconds the tests take without a fault: all of them, or those near if every fault names some."""
    near = sorted({path for fault in faults for path in fault.near}) if all(fault.near for fault in faults) else ()
    code, output, seconds = tested(copy, None, near)
    if code != 0:
        sys.exit(f"the tests fail without a fault:\n{output[-3000:]}")
    print(f"without a fault all tests pass in {seconds:.0f} s", flush=True)
    return seconds


def plant(fault, copy, limit):
    path = copy / fault.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
    try:
        code, output, seconds = tested(copy, limit, fault.near)
        if code == 0 and fault.near:
            code, output, seconds = tested(copy, limit, ())
    finally:
        path.write_text(sound, encoding="utf-8")
    failed = FAILED.findall(output)
    if code == 1 and failed:
        return Verdict(fault, caught=True, by=failed[0], seconds=seconds)
    if code is None:
        return Verdict(fault, caught=False, by=f"no verdict within {limit:.0f} s", seconds=seconds)
    if code == 0:
        return Verdict(fault, caught=False, by="all tests pass", seconds=seconds)
    tail = " ".join(output.split()[-30:])
    return Verdict(fault, caught=False, by=f"the tests did not run ({code}): {tail}", seconds=seconds)


def table(verdicts):
    lines = ["| fault | rule that it breaks | caught by | after |", "|---|---|---|---|"]
    for verdict in verdicts:
        by = f"`{verdict.by}`" if verdict.caught else f"**SURVIVES**: {verdict.by}"
        cells = (verdict.fault.name, verdict.fault.rule, by, f"{verdict.seconds:.0f} s")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def page(verdicts, sound_seconds):
    caught = sum(verdict.caught for verdict in verdicts)
    return f"""# Does the suite bite?

<!-- Written by scripts/plant_faults.py. -->

{len(verdicts)} faults were planted in the code, one at a time; {caught} of them were caught by the tests that
`make test-fast` runs, in an order in which small ones come first. A run stops at its first failing test, which is
named. Without a fault all tests pass, in {sound_seconds:.0f} s. `python scripts/plant_faults.py` does it again.

{table(verdicts)}
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="plant these faults")
    parser.add_argument("--list", action="store_true", help="show the faults and plant none")
    parser.add_argument("--check", action="store_true", help="only see that the faults still fit the code")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="copies to test at the same time (default: 1)")
    parser.add_argument("--sound", action="store_true", help="that all tests pass without a fault is known")
    parser.add_argument("--limit", type=float, default=120, metavar="S", help="seconds that a run may take")
    given = parser.parse_args()
    if given.sound and not given.only:
        parser.error("--sound goes with --only: the page says how long the tests take without a fault")
    return given


def main():
    given = arguments()
    faults = read_faults()
    unknown = set(given.only or ()) - {fault.name for fault in faults}
    if unknown:
        sys.exit(f"unknown faults: {', '.join(sorted(unknown))}")
    if given.list:
        for fault in faults:
            print(f"{fault.name:<40}{fault.file}\n    {fault.rule}")
    wrong = misplaced(faults, ROOT)
    if wrong or given.list or given.check:
        print("\n".join(wrong) or f"{len(faults)} faults fit the code")
        return bool(wrong)
    chosen = [fault for fault in faults if given.only is None or fault.name in given.only]
    with tempfile.TemporaryDirectory(prefix="asof-faults-") as folder:
        copies = [copy_of_the_code(Path(folder) / f"copy{number}") for number in range(given.jobs)]
        check_that_the_copy_is_tested(copies[0])
        wrong = misplaced(faults, copies[0])
        if wrong:
            sys.exit("\n".join(wrong))
        sound_seconds = 0.0 if given.sound else checked_sound(copies[0], chosen)
        free = SimpleQueue()
        for copy in copies:
            free.put(copy)

        def planted(fault):
            copy = free.get()
            try:
                verdict = plant(fault, copy, given.limit)
            finally:
                free.put(copy)
            print(f"{'caught  ' if verdict.caught else 'SURVIVES'} {fault.name}: {verdict.by}", flush=True)
            return verdict

        with ThreadPoolExecutor(given.jobs) as pool:
            verdicts = list(pool.map(planted, chosen))
    if given.only is None:
        PAGE.write_text(page(verdicts, sound_seconds), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    else:
        print(table(verdicts))
    survivors = [verdict.fault.name for verdict in verdicts if not verdict.caught]
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} faults were caught")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main())
