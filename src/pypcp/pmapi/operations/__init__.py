"""Every PMAPI call as a generator: it yields steps, is sent the replies, returns the value. No I/O happens here.

A driver (:mod:`pypcp.pmapi.blocking`, :mod:`pypcp.pmapi.context`) performs the steps of :mod:`.steps`; a test plays
the peer by hand. What a conversation remembers is in :class:`.state.ContextState`.
"""
