"""The agents that ship with pypcp; the daemon finds them by name, nothing imports them."""
