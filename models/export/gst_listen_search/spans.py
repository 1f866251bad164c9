"""From a value for each time step to the seconds that stand out."""

import numpy as np


def spans(times, values, longest, most):
    """At most `most` stretches of a recording, best first: `(start ns, end ns, value)`; none overlaps another.

    A stretch begins at a peak and reaches as far as the values stay above half of the peak's height over the
    recording's median, but no longer than `longest` ns; a stretch that touches one with a higher peak belongs to it where
    its own peak is above that half. `times` [N, 2] in order, `values` [N].
    """
    count, found = len(values), []
    if not count:
        return found
    floor, taken = float(np.median(values)), np.zeros(count, bool)
    neighbours = np.concatenate([[-np.inf], values, [-np.inf]])
    peak = (values >= neighbours[:-2]) & (values >= neighbours[2:])
    joined = times[1:, 0] <= times[:-1, 1]  # whether a step follows the one before without a gap
    for top in np.argsort(-values, kind="stable"):
        if taken[top] or not peak[top]:
            continue
        bar = (values[top] + floor) / 2
        first = last = int(top)
        grown = True
        while grown:
            grown = False
            if last + 1 < count and joined[last] and not taken[last + 1] and values[last + 1] >= bar and times[last + 1, 1] - times[first, 0] <= longest:
                last, grown = last + 1, True
            if first > 0 and joined[first - 1] and not taken[first - 1] and values[first - 1] >= bar and times[last, 1] - times[first - 1, 0] <= longest:
                first, grown = first - 1, True
        start, end = int(times[first, 0]), int(times[last, 1])
        taken |= (times[:, 0] < end) & (times[:, 1] > start)
        for stretch in found:
            whole = min(start, stretch[0]), max(end, stretch[1])
            if start <= stretch[1] and end >= stretch[0] and values[top] >= (stretch[2] + floor) / 2 and whole[1] - whole[0] <= longest:
                stretch[:2] = whole
                break
        else:
            if len(found) == most:
                break
            found.append([start, end, float(values[top])])
    return [tuple(stretch) for stretch in found]
