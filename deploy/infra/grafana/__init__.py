"""The Grafana board as code, and the files that provision it."""
