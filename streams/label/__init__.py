"""Curated to labels: harvest, or ask the teacher."""
