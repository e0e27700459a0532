"""Blob stores: whole blobs under keys, in a directory or in an object store, and a job's stage on either."""
