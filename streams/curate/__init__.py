"""Traffic to curated: decode, validate, redact, normalise, duplicates, enrich."""
