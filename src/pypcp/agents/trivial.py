"""The smallest agent there is: the time of day. Domain 250, as stock's agent of this name."""

import time

from pypcp.pmda import U64, Agent, Counter

agent = Agent("trivial", 250, help_="The smallest agent there is")


@agent.metric("trivial.time", item=0, units="sec")
def seconds() -> Counter[U64]:
    """Seconds since the epoch

    What time(2) says on this host: seconds since 1970 began, in UTC."""
    return int(time.time())
