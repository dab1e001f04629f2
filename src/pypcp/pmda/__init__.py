"""The SDK for agents (PMDAs): declare metrics, give values, be asked. See: PMDA(3)."""
