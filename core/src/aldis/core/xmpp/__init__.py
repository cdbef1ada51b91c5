"""XMPP without I/O: bytes in, events out; no clock, no randomness, no event loop."""
