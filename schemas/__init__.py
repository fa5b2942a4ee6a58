"""The contract, pure: records, topics, codec, ids, errors, workload file, manifests."""
