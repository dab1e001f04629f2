"""The client library: every PMAPI(3) call, blocking and for asyncio, over one implementation without I/O.

    from pypcp.pmapi.blocking import BlockingContext

    with BlockingContext("localhost") as context:
        pmid = context.lookup_name("kernel.all.load")
        names = context.instances(context.lookup_desc(pmid).indom)
        (load,) = context.fetch([pmid]).value_sets
        print({names[instance]: value for instance, value in load.by_instance().items()})

With asyncio: :class:`pypcp.pmapi.context.Context`, ``async with`` and ``await``.
"""
