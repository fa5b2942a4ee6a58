"""Traffic to curated: decode, validate, redact, normalise, duplicates, quality, blend, caps, enrich."""
