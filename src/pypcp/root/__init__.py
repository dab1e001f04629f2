"""pmdaroot's privileged side: what runs as root, and nothing else.

Three processes share the work, so that each holds only what its task needs: the *starter* (root; starts and ends the
agents that root configured), the *resolver* (unprivileged, confined; see :mod:`pypcp.resolver`) and the *name-space
reader* (two capabilities, five system calls). A *guard* waits beside them and brings the starter back.

Only the standard library, :mod:`pypcp.errors` and :mod:`pypcp.wire.root` are used here, and only this package's own
main uses it. See: pmdaroot(1).
"""
