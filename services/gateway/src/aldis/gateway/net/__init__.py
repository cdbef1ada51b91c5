"""Sockets and TLS: what stands between the network and the sans-IO stream."""
