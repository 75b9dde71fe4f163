"""Makes a failing script small: steps are dropped while it still differs somewhere."""


def shrink(script, kind, differs, attempts=60):
    """`differs(script)` returns a difference or None; one of another `kind` is another. The shortest script that was
    found within `attempts` runs."""
    size = max(len(script) // 2, 1)
    while attempts > 0:
        at, dropped = 0, False
        while at < len(script) and attempts > 0:
            shorter = script[:at] + script[at + size:]
            attempts -= 1
            difference = differs(shorter) if shorter else None
            if difference and difference.kind == kind:
                # Nothing behind the difference matters.
                script, dropped = shorter[:difference.index + 1], True
            else:
                at += size
        if size == 1 and not dropped:
            break
        size = max(size // 2, 1)
    return script
