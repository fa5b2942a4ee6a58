"""Which curated records are worth a teacher's label, and with which known probability each was chosen."""
