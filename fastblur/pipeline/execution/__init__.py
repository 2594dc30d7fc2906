"""Who does the batches: threads, processes or Ray; and the journal of what was done. Nothing is imported here."""
