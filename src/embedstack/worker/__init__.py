"""Models behind a platform that hands out jobs: a job is answered as a request over HTTP would be."""
