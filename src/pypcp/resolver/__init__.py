"""The unprivileged side of pmdaroot: which containers there are, and what is true about them right now.

It reads what engines, runtimes and users wrote, so it is the part that may be attacked, and it can do next to nothing:
no exec, no process, no writing, no network. It answers from a snapshot that threads of its own keep up to date, and
each answer is checked with the kernel before it leaves.
"""
