"""Files at rest: keys with bytes, on this machine's disk or in a bucket."""
