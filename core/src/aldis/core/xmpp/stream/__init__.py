"""XMPP streams without I/O: framing and the c2s state machine (RFC 6120 §4 to §7)."""
