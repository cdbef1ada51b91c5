"""What the gateway adds to streams: one file for each specification."""
