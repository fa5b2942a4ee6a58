"""Files with a digest: snapshots, base models, the object store, the copy of a window."""
