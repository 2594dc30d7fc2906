"""Results of a run, seen, checked and corrected."""
