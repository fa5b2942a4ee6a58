"""What comes before production: simulated traffic, the day-one report, the demo and its report."""
