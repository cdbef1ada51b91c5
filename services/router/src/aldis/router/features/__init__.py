"""One file for each specification, or each part of RFC 6120 and RFC 6121."""
