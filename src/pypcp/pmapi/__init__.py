"""The client library: every PMAPI(3) call, blocking and for asyncio, over one implementation without I/O."""
