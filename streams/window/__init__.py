"""Labels to snapshots: the rolling stratified window in DuckDB."""
