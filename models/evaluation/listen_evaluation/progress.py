"""Many things at a time, with a line that says how far they are."""

import concurrent.futures
import sys
import time


def each(function, items, jobs, what):
    """`function` of every item, in order, `jobs` at a time; an exception stops all that has not begun."""
    items, results, began, shown = list(items), [], time.monotonic(), 0.0
    pool = concurrent.futures.ThreadPoolExecutor(max(1, jobs))
    try:
        for number, result in enumerate(pool.map(function, items), 1):
            results.append(result)
            now = time.monotonic()
            # A terminal is told often, a log at times.
            pause = 0.5 if sys.stderr.isatty() else 30.0
            if number == len(items) or now - shown > pause:
                shown = now
                left = (now - began) / number * (len(items) - number)
                end = "\n" if number == len(items) or not sys.stderr.isatty() else ""
                text = f"\r{what}: {number} of {len(items)}, {now - began:.0f} s, about {left:.0f} s left   "
                print(text if sys.stderr.isatty() else text.strip(), end=end, file=sys.stderr, flush=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results


def say(text):
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
