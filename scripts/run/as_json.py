"""The table's numbers as an object for JSON, of all functions."""

import advice


def as_object(found, sort, related=None):
    """related: the callers.Callers of a function, or None."""
    names = [part.name for part in found.parts]
    shown = {"profile": names[0]} if len(names) == 1 else {"profiles": names}
    shown.update(
        elapsed_seconds=found.elapsed,
        cpu_seconds=found.cpu_seconds(),
        events=[event_object(found, event, sort, related) for event in found.events],
        advice=advice.advice(found),
    )
    return shown


def event_object(found, event, sort, related):
    shown = {
        "event": event.name,
        "unit": "count" if event.seconds(0) is None else "ns",
        "samples": event.samples,
        "seconds": event.seconds(event.weight),
        "processes": len(event.pids),
        "complete": found.whole(event),
    }
    shown.update(sums_object(found, event, event.sums, sort))
    view = event.view
    if view.paths:
        shown.update(only=view.paths, counted_as_callers=event.moved)
    if view.python_only:
        shown["left_out"] = event.left_out
    if view.by:
        groups = event.shown_groups()
        shown["by_" + view.by] = [dict(sums_object(found, event, one, sort), name=one.name) for one in groups]
    if related:
        shown["callers"] = related.as_object(event, found)
    return shown


def sums_object(found, event, sums, sort):
    return {
        "shown_samples": sums.samples,
        "shown": sums.weight,
        "functions": [function_object(found, event, one) for one in sums.ordered(sort)],
        "without_python": {
            "own": sums.without.own,
            "own_share": event.share(sums.without.own),
            "samples": sums.without.samples,
        },
    }


def function_object(found, event, one):
    shown = {
        "name": one.name,
        "file": one.file,
        "first_line": found.first_line(one),
        "own": one.own,
        "total": one.total,
        "own_share": event.share(one.own),
        "total_share": event.share(one.total),
        "samples": one.samples,
    }
    if event.is_wall:
        names = ("own_on_cpu", "own_ready", "own_waiting_for_gil", "own_waiting")
        shown.update(zip(names, one.own_in))
    if one.line is not None:
        shown["line"] = one.line
    return shown
